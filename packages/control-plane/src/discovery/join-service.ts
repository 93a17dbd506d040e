import { status } from '@grpc/grpc-js';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { create } from '@bufbuild/protobuf';
import { type CertificateAuthority, nodeUri, readSigningRequest } from '@signalbox/certificates';
import {
  type JoinRequest,
  JoinResponseSchema,
  JoinService as JoinServiceDescription,
  type RenewRequest,
  RenewResponseSchema,
} from '@signalbox/proto/signalbox/node/v1/join_service_pb.ts';
import type { Clock, Logger, Metrics } from '@signalbox/runtime';
import { CallFailure, type GrpcServer, handleUnary, type UnaryCall } from '@signalbox/xds';

import type { IssuedTo, JoinRefusal, TokenStore } from '../store/tokens.ts';
import { type Answering, answering } from './answering.ts';
import { bearerToken, type NodeAdmission } from './node-admission.ts';

export interface JoinServiceOptions {
  readonly authority: CertificateAuthority;
  readonly tokens: Pick<TokenStore, 'join' | 'renewed'>;
  readonly admission: Pick<NodeAdmission, 'identify'>;
  readonly trustDomain: string;
  /** How long a certificate is valid, in milliseconds. */
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

function failure(code: status, message: string): CallFailure {
  return new CallFailure(code, message);
}

/** Clocks of nodes may be behind by so much. */
const skewMs = 5 * 60_000;
const nodeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

const refusals: Readonly<Record<JoinRefusal, CallFailure>> = {
  'unknown-token': failure(status.UNAUTHENTICATED, 'the join token is unknown, expired or used: create another one'),
  'other-node': failure(status.PERMISSION_DENIED, 'the join token is for another node: check the id of this one'),
  'name-taken': failure(
    status.ALREADY_EXISTS,
    'a node of this name has a valid certificate: choose another id, revoke its token, or create the join token with --node',
  ),
};

interface Issued extends IssuedTo {
  readonly pem: string;
  readonly gateway: string;
  readonly notBeforeMs: number;
}

/** Gives nodes their certificates: one for a join token, and from then on one for the certificate before. */
export class JoinService {
  readonly #options: JoinServiceOptions;

  constructor(options: JoinServiceOptions) {
    this.#options = options;
  }

  addTo(server: Pick<GrpcServer, 'handle'>): void {
    const { join, renew } = JoinServiceDescription.method;
    handleUnary(
      server,
      join,
      answering(this.#answering('join'), (call) => this.#join(call)),
    );
    handleUnary(
      server,
      renew,
      answering(this.#answering('renew'), (call) => this.#renew(call)),
    );
  }

  async #join({ request, metadata }: UnaryCall<JoinRequest>) {
    const { node, signingRequest } = request;
    const credential = bearerToken(metadata);
    if (credential === undefined) throw refusals['unknown-token'];
    if (!nodeName.test(node)) throw failure(status.INVALID_ARGUMENT, 'node: use letters, digits, ".", "_" and "-"');
    const publicKey = await keyOf(signingRequest);
    const issued = await this.#options.tokens.join({
      ...{ credential, node },
      issue: (gateway) => this.#issue(publicKey, gateway, node),
    });
    if (typeof issued === 'string') throw refusals[issued];
    this.#options.logger.info('a node has joined', { node, gateway: issued.gateway });
    return create(JoinResponseSchema, { certificate: certificateMessage(issued) });
  }

  async #renew({ request, certificate }: UnaryCall<RenewRequest>) {
    const identity = certificate && (await this.#options.admission.identify(certificate));
    if (identity?.node === undefined) {
      throw failure(status.UNAUTHENTICATED, 'the certificate is none of a known node, expired or replaced: join again');
    }
    const publicKey = await keyOf(request.signingRequest);
    const issued = await this.#issue(publicKey, identity.gateway, identity.node);
    if (!(await this.#options.tokens.renewed(identity.tokenId, issued))) {
      throw failure(status.FAILED_PRECONDITION, 'the certificate was not issued here: whoever did renews it');
    }
    return create(RenewResponseSchema, { certificate: certificateMessage(issued) });
  }

  async #issue(publicKey: Buffer, gateway: string, node: string): Promise<Issued> {
    const { authority, trustDomain, lifetimeMs, clock } = this.#options;
    const notBeforeMs = clock.now() - skewMs;
    const notAfterMs = clock.now() + lifetimeMs;
    const uris = [nodeUri(trustDomain, { gateway, node })];
    const { pem, serial } = await authority.issue({ publicKey, uris, usage: 'client', notBeforeMs, notAfterMs });
    return { pem, serial, gateway, notBeforeMs, notAfterMs };
  }

  #answering(method: string): Answering {
    const { metrics, logger } = this.#options;
    return {
      counter: (code) =>
        metrics.counter('signalbox_join_requests_total', 'Nodes that asked for a certificate.', { method, code }),
      onFailure: (_failure, peer, cause) =>
        logger.warn('a node got no certificate', { method, peer, error: String(cause) }),
    };
  }
}

async function keyOf(signingRequest: string): Promise<Buffer> {
  const read = await readSigningRequest(signingRequest);
  if ('problem' in read) throw failure(status.INVALID_ARGUMENT, `signing_request: ${read.problem}`);
  return read.publicKey;
}

function certificateMessage({ pem, gateway, notBeforeMs, notAfterMs }: Issued) {
  return { pem, gateway, notBefore: timestampFromMs(notBeforeMs), notAfter: timestampFromMs(notAfterMs) };
}
