import { X509Certificate } from 'node:crypto';

import type { Metadata } from '@grpc/grpc-js';
import { parseNodeUri, subjectUris } from '@signalbox/certificates';
import type { Clock } from '@signalbox/runtime';
import { type ClientNode, type ResourceFamily, statusCode, type StreamEnd, type StreamGrant } from '@signalbox/xds';

import type { ScopedSources } from '../publish/scoped-sources.ts';
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
  /** What nodes of our own receive that may not know every tenant. */
  readonly scopes: Pick<ScopedSources, 'open'>;
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
    const identity = await this.whoIs(metadata, certificate, tokenInNode(node));
    if ('code' in identity) return identity;
    const mismatch = disagreement(identity, node);
    if (mismatch !== undefined) return { code: statusCode.permissionDenied, message: mismatch };
    return grantTo(identity, node, this.#options);
  }

  /** Who calls, by certificate or else by token. */
  async whoIs(metadata: Metadata, certificate: Buffer | undefined, token?: string): Promise<NodeIdentity | StreamEnd> {
    return (certificate && (await this.identify(certificate))) ?? this.#byToken(bearerToken(metadata) ?? token);
  }

  /** The node that a verified certificate names, if it is valid now and somebody has given that node anything. */
  async identify(certificate: Buffer): Promise<NodeIdentity | undefined> {
    const presented = presentedBy(certificate, this.#options);
    return presented && this.#options.authenticator.authenticateCertificate(presented);
  }

  async #byToken(token: string | undefined): Promise<NodeIdentity | StreamEnd> {
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

/** What a credential may see: scopes as they are, those that its rights cover, or for foreign families the view of them. */
function grantTo(
  { tokenId, name, gateway, family, tenants, groups }: NodeIdentity,
  node: ClientNode,
  { views, scopes }: Pick<NodeAdmissionOptions, 'views' | 'scopes'>,
): StreamGrant | StreamEnd {
  const identity = { credentialId: tokenId, name, ...(groups && { groups }) };
  const served = views.find((each) => each.family.name === family);
  const source = tenants === null ? undefined : scopes.open(tenants);
  if (tenants !== null && !source) return tooMany('SIGNALBOX_DISCOVERY_SCOPES');
  const seen = source ?? 'all';
  if (!served) return { identity, family, collections: 'all', ...(source && { source, sources: seen }) };
  const view = served.source.open(gateway, tenants, served.source.variantOf(node)?.id);
  if (view === undefined) return tooMany('SIGNALBOX_DISCOVERY_VIEWS');
  return { identity, family, collections: new Set([view]), sources: seen };
}

function tooMany(setting: string): StreamEnd {
  const message = `too many kinds of credentials are in use at once: raise ${setting}`;
  return { code: statusCode.resourceExhausted, message };
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
