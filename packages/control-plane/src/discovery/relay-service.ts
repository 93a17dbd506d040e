import { type Server, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type IdentifyNodeRequest,
  type IdentifyNodeResponse,
  IdentifyNodeResponseSchema,
  RelayService as RelayServiceDescription,
} from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import type { Logger, Metrics } from '@signalbox/runtime';
import { serviceDefinition } from '@signalbox/xds';

import type { TenantDirectory } from '../publish/tenant-directory.ts';
import { isSubscriber, type TokenRecord } from '../store/tokens.ts';
import type { NodeAdmission } from './node-admission.ts';
import type { NodeCredentials, NodeIdentity } from './node-identity.ts';
import { CallFailure, unaryHandler } from './unary-handler.ts';

export interface RelayServiceOptions {
  readonly admission: Pick<NodeAdmission, 'whoIs'>;
  readonly credentials: NodeCredentials;
  readonly directory: Pick<TenantDirectory, 'covers'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Answers relays: who the nodes below them are. A relay learns of credentials of its own gateway only. */
export class RelayService {
  readonly #options: RelayServiceOptions;

  constructor(options: RelayServiceOptions) {
    this.#options = options;
  }

  addTo(server: Server): void {
    server.addService(serviceDefinition(RelayServiceDescription), {
      identifyNode: unaryHandler(
        this.#options,
        'identifyNode',
        (call: ServerUnaryCall<IdentifyNodeRequest, IdentifyNodeResponse>) => this.#identify(call),
      ),
    });
  }

  async #identify(call: ServerUnaryCall<IdentifyNodeRequest, IdentifyNodeResponse>): Promise<IdentifyNodeResponse> {
    const relay = await this.#relayOf(call);
    const record = await this.#recordOf(call.request);
    if (!record || !isSubscriber(record.role) || record.gateway !== relay.gateway) {
      throw new CallFailure(status.NOT_FOUND, 'no node of this gateway has such a credential');
    }
    return this.#answer(record, relay);
  }

  /** @throws CallFailure if it is none. */
  async #relayOf(call: ServerUnaryCall<unknown, unknown>): Promise<NodeIdentity> {
    const identity = await this.#options.admission.whoIs(call.metadata, call.getAuthContext().sslPeerCertificate?.raw);
    if ('code' in identity) throw new CallFailure(identity.code, identity.message);
    if (identity.isRelay) return identity;
    const message = `the credential "${identity.name}" is not a relay's: create one with "signalbox token create --role relay"`;
    throw new CallFailure(status.PERMISSION_DENIED, message);
  }

  async #recordOf({ credential }: IdentifyNodeRequest): Promise<TokenRecord | undefined> {
    const { credentials } = this.#options;
    switch (credential.case) {
      case 'token': {
        const record = await credentials.byProof(credential.value.id, Buffer.from(credential.value.hash));
        return record?.form === 'bearer' ? record : undefined;
      }
      case 'certificate':
        return credentials.byCertificate(credential.value);
      case undefined:
        throw new CallFailure(status.INVALID_ARGUMENT, 'the request names no credential');
    }
  }

  #answer(record: TokenRecord, relay: NodeIdentity): IdentifyNodeResponse {
    const { id: tokenId, name, role, gateway, family, tenants, selector, expiresAt } = record;
    return create(IdentifyNodeResponseSchema, {
      ...{ tokenId, name, gateway, family, allTenants: tenants.length === 0 && selector === '' },
      tenants: tenants.filter((tenant) => this.#options.directory.covers(relay.tenants, tenant)),
      tenantSelector: selector,
      ...(expiresAt && { expiresAt: timestampFromDate(expiresAt) }),
      relay: role === 'relay',
    });
  }
}
