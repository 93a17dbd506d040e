import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type Certificate,
  JoinRequestSchema,
  JoinService,
  RenewRequestSchema,
} from '@signalbox/proto/signalbox/node/v1/join_service_pb.ts';
import type { Secret } from '@signalbox/runtime';
import { type AdsClientTls, serviceDefinition } from '@signalbox/xds';

/** A certificate as the control plane has signed it. */
export interface SignedCertificate {
  readonly pem: string;
  readonly gateway: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The control plane will never sign this: asking again is of no use. */
export class JoinRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JoinRefused';
  }
}

/** Asks the control plane for certificates. */
export interface JoinClient {
  /** @throws JoinRefused, or what went wrong on the way. */
  join(token: Secret, node: string, signingRequest: string): Promise<SignedCertificate>;
  /** @param tls with the certificate that shall be replaced. @throws as `join`. */
  renew(signingRequest: string, tls: AdsClientTls): Promise<SignedCertificate>;
}

export interface GrpcJoinClientOptions {
  /** `host:port` of discovery. */
  readonly address: string;
  readonly rootCertificates: () => Buffer | undefined;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const methods = serviceDefinition(JoinService);
const finalCodes = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.ALREADY_EXISTS,
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
  status.UNIMPLEMENTED,
]);

/** Over gRPC, a connection for each call. */
export class GrpcJoinClient implements JoinClient {
  readonly #options: GrpcJoinClientOptions;

  constructor(options: GrpcJoinClientOptions) {
    this.#options = options;
  }

  join(token: Secret, node: string, signingRequest: string): Promise<SignedCertificate> {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token.reveal()}`);
    const tls = { rootCertificates: this.#options.rootCertificates() };
    return this.#call('join', create(JoinRequestSchema, { node, signingRequest }), { metadata, tls });
  }

  renew(signingRequest: string, tls: AdsClientTls): Promise<SignedCertificate> {
    return this.#call('renew', create(RenewRequestSchema, { signingRequest }), { metadata: new Metadata(), tls });
  }

  async #call(
    name: 'join' | 'renew',
    request: object,
    { metadata, tls }: { readonly metadata: Metadata; readonly tls: AdsClientTls },
  ): Promise<SignedCertificate> {
    const { address, timeoutMs, now } = this.#options;
    const method = methods[name];
    if (!method) throw new Error(`there is no method ${name}`);
    const { rootCertificates = null, identity } = tls;
    const secure = credentials.createSsl(
      rootCertificates,
      identity?.privateKey ?? null,
      identity?.certificateChain ?? null,
    );
    const client = new Client(address, secure, { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_http_proxy': 0 });
    try {
      const answer = await new Promise<{ readonly certificate?: Certificate }>((resolve, reject) => {
        const done = (error: ServiceError | null, response?: { readonly certificate?: Certificate }) => {
          if (error) reject(finalCodes.has(error.code) ? new JoinRefused(error.details) : error);
          else resolve(response ?? {});
        };
        const { path, requestSerialize, responseDeserialize } = method;
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          {
            deadline: now() + timeoutMs,
          },
          done,
        );
      });
      return signed(answer.certificate);
    } finally {
      client.close();
    }
  }
}

function signed(certificate: Certificate | undefined): SignedCertificate {
  if (!certificate?.notBefore || !certificate.notAfter) throw new Error('the answer holds no certificate');
  const { pem, gateway, notBefore, notAfter } = certificate;
  return { pem, gateway, notBeforeMs: timestampMs(notBefore), notAfterMs: timestampMs(notAfter) };
}
