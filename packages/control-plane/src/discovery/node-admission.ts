import { X509Certificate } from 'node:crypto';

import type { Metadata } from '@grpc/grpc-js';
import { parseNodeUri, subjectUris } from '@signalbox/certificates';
import { operatorScope } from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';
import { type ClientNode, type ResourceFamily, statusCode, type StreamEnd, type StreamGrant } from '@signalbox/xds';

import type { ViewSource } from '../publish/view-source.ts';
import type { PresentedCertificate } from '../store/tokens.ts';
import { claimedGateway } from './claimed-gateway.ts';
import type { NodeAuthenticator, NodeIdentity } from './node-identity.ts';

/** A foreign family and its views. */
export interface ServedViews {
  readonly family: ResourceFamily;
  readonly source: ViewSource;
}

export interface NodeAdmissionOptions {
  readonly authenticator: NodeAuthenticator;
  /** First part of the names in certificates of nodes. */
  readonly trustDomain: string;
  /** What nodes of foreign families receive. */
  readonly views: readonly ServedViews[];
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Lets a node in on its credential alone: a certificate that names it, or else a token. What it claims must agree, and is
 * checked before anything is sent, so that no name of a foreign gateway leaks.
 */
export class NodeAdmission {
  readonly #options: NodeAdmissionOptions;

  constructor(options: NodeAdmissionOptions) {
    this.#options = options;
  }

  /** @param certificate DER of a certificate that TLS has verified. */
  async admit(metadata: Metadata, node: ClientNode, certificate: Buffer | undefined): Promise<StreamGrant | StreamEnd> {
    const identity = (certificate && (await this.identify(certificate))) ?? (await this.#byToken(metadata, node));
    if ('code' in identity) return identity;
    const mismatch = disagreement(identity, node);
    if (mismatch !== undefined) return { code: statusCode.permissionDenied, message: mismatch };
    return grantTo(identity, node, this.#options.views);
  }

  /** The node that a verified certificate names, if it is valid now and somebody has given that node anything. */
  async identify(certificate: Buffer): Promise<NodeIdentity | undefined> {
    const presented = presentedBy(certificate, this.#options);
    return presented && this.#options.authenticator.authenticateCertificate(presented);
  }

  async #byToken(metadata: Metadata, node: ClientNode): Promise<NodeIdentity | StreamEnd> {
    const token = bearerToken(metadata) ?? tokenInNode(node);
    if (token === undefined) {
      const message =
        'send a node token as "authorization: Bearer <token>", or come with a certificate of a known node';
      return { code: statusCode.unauthenticated, message };
    }
    const identity = await this.#options.authenticator.authenticate(token);
    if (identity) return identity;
    const message = 'the token is unknown, expired, revoked or not one for nodes: create one with "signalbox token"';
    return { code: statusCode.unauthenticated, message };
  }
}

/** What a certificate says of its node; undefined if that is nothing, more than one name, or not valid now. */
function presentedBy(
  der: Buffer,
  { trustDomain, clock }: Pick<NodeAdmissionOptions, 'trustDomain' | 'clock'>,
): PresentedCertificate | undefined {
  const certificate = new X509Certificate(der);
  const [uri, ...more] = subjectUris(certificate);
  const name = uri === undefined || more.length > 0 ? undefined : parseNodeUri(uri, trustDomain);
  const now = clock.now();
  if (!name || now < Date.parse(certificate.validFrom) || now >= Date.parse(certificate.validTo)) return undefined;
  return { ...name, serial: certificate.serialNumber.toLowerCase() };
}

/** Why the node is not the one of the credential. */
function disagreement(identity: NodeIdentity, node: ClientNode): string | undefined {
  if (claimedGateway(node) !== identity.gateway) {
    return `the credential "${identity.name}" is not for the gateway that the node claims to serve: check node.cluster, or GATEWAY`;
  }
  if (identity.node === undefined || identity.node === node.id) return undefined;
  return `the certificate of "${identity.name}" is not for the node that this claims to be: check node.id`;
}

/** What a credential may see: scopes as they are, or for foreign families the view that is made of them. */
function grantTo(
  { tokenId, name, gateway, family, tenants, groups }: NodeIdentity,
  node: ClientNode,
  views: readonly ServedViews[],
): StreamGrant | StreamEnd {
  const identity = { credentialId: tokenId, name, ...(groups && { groups }) };
  const scopes = tenants === null ? 'all' : new Set([operatorScope, ...tenants]);
  const served = views.find((each) => each.family.name === family);
  if (!served) return { identity, family, collections: scopes };
  const view = served.source.open(gateway, tenants, served.source.variantOf(node)?.id);
  if (view === undefined) {
    const message = 'too many kinds of credentials are in use at once: raise SIGNALBOX_DISCOVERY_VIEWS';
    return { code: statusCode.resourceExhausted, message };
  }
  return { identity, family, collections: new Set([view]), sources: scopes };
}

/** Proxyless gRPC clients cannot send headers: their bootstrap has the token in the metadata of the node. */
function tokenInNode({ metadata }: ClientNode): string | undefined {
  const token = metadata['signalbox-token'];
  return typeof token === 'string' ? token : undefined;
}

export function bearerToken(metadata: Metadata): string | undefined {
  const [header] = metadata.get('authorization');
  const [, token] = /^Bearer +(\S+)$/i.exec(String(header ?? '')) ?? [];
  return token;
}
