export { AdsClient, type AdsClientLimits, type AdsClientOptions } from './ads-client.ts';
export {
  AdsServer,
  type AdsServerLimits,
  type AdsServerOptions,
  createAdsServer,
  type StreamGrant,
} from './ads-server.ts';
export type {
  ClientHandler,
  ReceivedResource,
  ResourceFault,
  ResourceUpdate,
  SubscriptionChange,
} from './client-handler.ts';
export type { ClientTransport, ServerTransport } from './discovery-transport.ts';
export { encodeEntry, type PlainResource } from './encoded-response.ts';
export type {
  Collection,
  CollectionSource,
  FamilyType,
  ResourceDelta,
  ResourceEntry,
  ResourceFamily,
  ResourceLease,
  StagedCollection,
} from './family.ts';
export type { AdsClientTls } from './grpc-client-transport.ts';
export { GrpcServer } from './grpc-server.ts';
export type { ClientNode } from './node.ts';
export type { ServedFamilyOptions } from './served-family.ts';
export { serviceDefinition } from './service-definition.ts';
export { CallFailure, handleUnary, type UnaryCall } from './unary-method.ts';
export { statusCode, type StatusCode, type StreamEnd } from './stream-end.ts';
export type {
  CollectionRevision,
  Refusal,
  SeenIds,
  StreamIdentity,
  StreamInfo,
  StreamObserver,
} from './stream-observer.ts';
