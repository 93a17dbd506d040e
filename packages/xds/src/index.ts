export { AdsClient, type AdsClientLimits, type AdsClientOptions, type AdsClientTls } from './ads-client.ts';
export type { ClientHandler, ReceivedResource, ResourceFault, ResourceUpdate } from './client-handler.ts';
export type { Collection, CollectionSource, FamilyType, ResourceEntry, ResourceFamily } from './family.ts';
export type { ClientNode } from './node.ts';
