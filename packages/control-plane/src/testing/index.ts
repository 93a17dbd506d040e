// Parts of the control plane on their own, for tests against a real Postgres and for simulations.
export { evaluateAsAgentgateway, parsesForAgentgateway, Timestamp } from './agentgateway-cel.ts';
export { WritePlanner } from '../api/plan-write.ts';
export { nativeFamily } from '../projections/native.ts';
export { Publisher } from '../publish/publisher.ts';
export type { ChangeListener, CommittedRevision, CommittedScope } from '../store/change-feed.ts';
export { connect } from '../store/connection.ts';
export { StoreBusy } from '../store/connection-pool.ts';
export { CatalogStore } from '../store/catalog-store.ts';
export { Database, type DatabaseOptions } from '../store/database.ts';
export { Doorbell } from '../store/doorbell.ts';
export { migrate, type Migration, migrationOf } from '../store/migrate.ts';
export { PostgresStore } from '../store/postgres-store.ts';
export type { WriteInputs, WriteOutcome, WritePlan, WriteRequest } from '../store/store.ts';
export { Tail, type TailOptions } from '../store/tail.ts';
export { TokenStore } from '../store/tokens.ts';
