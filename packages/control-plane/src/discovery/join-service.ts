import { type sendUnaryData, type Server, type ServerUnaryCall, status } from '@grpc/grpc-js';
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
import { serviceDefinition } from '@signalbox/xds';

import { isOutage } from '../store/outage.ts';
import type { IssuedTo, JoinRefusal, TokenStore } from '../store/tokens.ts';
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

/** An error whose text is for the node. */
class JoinFailure extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.name = 'JoinFailure';
    this.code = code;
  }
}

function failure(code: status, message: string): JoinFailure {
  return new JoinFailure(code, message);
}

/** Clocks of nodes may be behind by so much. */
const skewMs = 5 * 60_000;
const nodeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

const refusals: Readonly<Record<JoinRefusal, JoinFailure>> = {
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

  addTo(server: Server): void {
    server.addService(serviceDefinition(JoinServiceDescription), {
      join: this.#handler('join', (call: ServerUnaryCall<JoinRequest, unknown>) => this.#join(call)),
      renew: this.#handler('renew', (call: ServerUnaryCall<RenewRequest, unknown>) => this.#renew(call)),
    });
  }

  async #join({ request, metadata }: ServerUnaryCall<JoinRequest, unknown>) {
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

  async #renew(call: ServerUnaryCall<RenewRequest, unknown>) {
    const certificate = call.getAuthContext().sslPeerCertificate?.raw;
    const identity = certificate && (await this.#options.admission.identify(certificate));
    if (identity?.node === undefined) {
      throw failure(status.UNAUTHENTICATED, 'the certificate is none of a known node, expired or replaced: join again');
    }
    const publicKey = await keyOf(call.request.signingRequest);
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

  /** Errors made for callers keep their text; of all others nothing leaves the process. */
  #handler<Request, Response>(method: string, answer: (call: ServerUnaryCall<Request, Response>) => Promise<Response>) {
    const { metrics, logger } = this.#options;
    const count = (code: string) =>
      metrics.counter('signalbox_join_requests_total', 'Nodes that asked for a certificate.', { method, code }).add();
    const respond = async (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>) => {
      try {
        const response = await answer(call);
        count('OK');
        done(null, response);
      } catch (error) {
        const shown = asFailure(error);
        count(status[shown.code] ?? '');
        logger.warn('a node got no certificate', { method, peer: call.getPeer(), error: String(error) });
        done({ code: shown.code, details: shown.message });
      }
    };
    return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>) => void respond(call, done);
  }
}

function asFailure(error: unknown): JoinFailure {
  if (error instanceof JoinFailure) return error;
  if (isOutage(error)) return failure(status.UNAVAILABLE, 'the database does not answer: try again');
  return failure(status.INTERNAL, 'internal error: the control plane has logged it');
}

async function keyOf(signingRequest: string): Promise<Buffer> {
  const read = await readSigningRequest(signingRequest);
  if ('problem' in read) throw failure(status.INVALID_ARGUMENT, `signing_request: ${read.problem}`);
  return read.publicKey;
}

function certificateMessage({ pem, gateway, notBeforeMs, notAfterMs }: Issued) {
  return { pem, gateway, notBefore: timestampFromMs(notBeforeMs), notAfter: timestampFromMs(notAfterMs) };
}
