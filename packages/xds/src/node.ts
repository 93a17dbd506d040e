import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { type Node, NodeSchema } from '@signalbox/proto/envoy/config/core/v3/base_pb.ts';

/** Who a subscriber says it is. The server believes its credential, not this. */
export interface ClientNode {
  /** Unique among the nodes of a credential; the same after a restart. */
  readonly id: string;
  /** The group that the node belongs to. */
  readonly cluster: string;
  readonly userAgentName: string;
  readonly userAgentVersion: string;
  readonly metadata: JsonObject;
  /** Names of optional behaviours that the client supports. */
  readonly features?: readonly string[];
}

export function nodeMessage(node: ClientNode): MessageInitShape<typeof NodeSchema> {
  return create(NodeSchema, {
    id: node.id,
    cluster: node.cluster,
    metadata: node.metadata,
    clientFeatures: [...(node.features ?? [])],
    userAgentName: node.userAgentName,
    userAgentVersionType: { case: 'userAgentVersion', value: node.userAgentVersion },
  });
}

/** As the client writes it, or the numbers of its build. */
function versionText(message: Node | undefined): string {
  const version = message?.userAgentVersionType;
  if (version?.case === 'userAgentVersion') return version.value;
  const { majorNumber, minorNumber, patch } = version?.value?.version ?? {};
  return majorNumber === undefined ? '' : `${majorNumber}.${minorNumber}.${patch}`;
}

/** What a request says of its node; nothing, if it does not name one. */
export function nodeOf(message: Node | undefined): ClientNode {
  return {
    id: message?.id ?? '',
    cluster: message?.cluster ?? '',
    userAgentName: message?.userAgentName ?? '',
    userAgentVersion: versionText(message),
    metadata: message?.metadata ?? {},
    features: message?.clientFeatures ?? [],
  };
}
