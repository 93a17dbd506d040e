import { type DescMessage, type DescService, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { AggregatedDiscoveryService } from '@signalbox/proto/envoy/service/discovery/v3/ads_pb.ts';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';

/** The delta stream as a client calls it. */
export const deltaMethod = serviceDefinition(AggregatedDiscoveryService)[
  'deltaAggregatedResources'
] as MethodDefinition<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** What a grpc-js client needs to know about a service. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  const methods = service.methods.map((method) => [
    method.localName,
    {
      path: `/${service.typeName}/${method.name}`,
      requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
      responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
      requestSerialize: encode(method.input),
      requestDeserialize: decode(method.input),
      responseSerialize: encode(method.output),
      responseDeserialize: decode(method.output),
    },
  ]);
  return Object.fromEntries(methods) as ServiceDefinition;
}

function encode(desc: DescMessage) {
  return (value: MessageShape<DescMessage>) => Buffer.from(toBinary(desc, value));
}

function decode(desc: DescMessage) {
  return (bytes: Buffer) => fromBinary(desc, bytes);
}
