import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import type { Backend } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import type { Gateway } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import type { Policy } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import type { Route } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import type { Tenant } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import type { VirtualServer } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import type { Kind } from './kind.ts';
import type { AuthorizationTable, Decision, DecisionInput } from './policy/authorization.ts';
import type { Problem } from './problem.ts';
import type { Snapshot, StoredResource } from './snapshot.ts';
import type { OperatorTable, RoutingTable, TenantTable } from './table.ts';

// Signatures only; the bodies follow in their own files.

/** A resource as a person wrote it: the envelope without `apiVersion`. */
export interface ResourceDocument {
  readonly kind: string;
  /** Empty for kinds of operator scope. */
  readonly tenant: string;
  readonly name: string;
  readonly spec: JsonValue;
}
export interface SourceLocation {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}
export interface SourceDocument extends ResourceDocument {
  /** Where a field (`spec.members[0].backend`, or '' for the document) is written. */
  locate(field: string): SourceLocation;
}
interface MessageOf {
  Gateway: Gateway;
  Tenant: Tenant;
  Backend: Backend;
  VirtualServer: VirtualServer;
  Route: Route;
  Policy: Policy;
}
/** A decoded and validated resource: a union discriminated by `kind`. */
export type Resource = {
  [K in Kind]: {
    readonly kind: K;
    readonly scope: string;
    readonly name: string;
    readonly message: MessageOf[K];
    readonly stored: StoredResource;
  };
}[Kind];
type Decoded = { readonly resource: Resource } | { readonly problems: readonly Problem[] };
export interface Compiled<T> {
  /** Absent when there is an error among the problems. */
  readonly table?: T;
  readonly problems: readonly Problem[];
}
/** Bounds of what a table may hold. */
export interface TableLimits {
  readonly resources: number;
  readonly bytes: number;
  readonly rulesPerRoute: number;
}
export const defaultTableLimits: TableLimits = { resources: 50_000, bytes: 64 * 1024 * 1024, rulesPerRoute: 1_000 };
/** What changes a snapshot: a resource put, or one deleted. */
export type SnapshotChange =
  | { readonly put: StoredResource }
  | { readonly delete: { readonly kind: Kind; readonly name: string } };
export interface Change {
  readonly op: 'create' | 'update' | 'delete';
  readonly kind: Kind;
  readonly name: string;
  readonly before?: StoredResource;
  readonly after?: StoredResource;
}
export interface ExplainStep {
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
  readonly when: string;
  readonly outcome: 'match' | 'no match' | 'not about this' | 'error' | 'not reached';
  readonly detail: string;
}
export interface Explanation {
  readonly decision: Decision;
  readonly steps: readonly ExplainStep[];
}

export function diffSnapshots(before: Snapshot | undefined, after: Snapshot | undefined): Change[] {
  return pending(before, after);
}
function pending(..._arguments: unknown[]): never {
  throw new Error('not there yet');
}
export function parseResourceFile(
  text: string,
  options: { file: string; variables?: (name: string) => string | undefined },
): { documents: SourceDocument[]; problems: Problem[] } {
  return pending(text, options);
}
export function findDuplicates(documents: Iterable<ResourceDocument>): Problem[] {
  return pending(documents);
}
export function withLocations(problems: readonly Problem[], documents: readonly SourceDocument[]): Problem[] {
  return pending(problems, documents);
}
export function decodeDocument(document: ResourceDocument): Decoded {
  return pending(document);
}
/** `scope` may be left out for operator kinds. */
export function decodeStored(stored: StoredResource, scope?: string): Decoded {
  return pending(stored, scope);
}
export function encodeResource<K extends Kind>(kind: K, name: string, message: MessageOf[K]): StoredResource {
  return pending(kind, name, message);
}
export function documentOf(
  scope: string,
  stored: StoredResource,
): { kind: Kind; tenant: string; name: string; spec: JsonObject } {
  return pending(scope, stored);
}
/** For the control plane, which stores no keys: a problem for every `spec.authentication.apiKeys[i].key`. */
export function inlineKeyProblems(resource: Resource): Problem[] {
  return pending(resource);
}
export function digestOf(bytes: Uint8Array): string {
  return pending(bytes);
}
export function setHash(resources: Iterable<StoredResource>): string {
  return pending(resources);
}
export function makeSnapshot(scope: string, revision: bigint, resources: Iterable<StoredResource>): Snapshot {
  return pending(scope, revision, resources);
}
export function applyChanges(snapshot: Snapshot, revision: bigint, changes: Iterable<SnapshotChange>): Snapshot {
  return pending(snapshot, revision, changes);
}
export function compileOperator(snapshot: Snapshot, limits?: TableLimits): Compiled<OperatorTable> {
  return pending(snapshot, limits);
}
export function compileTenant(
  snapshot: Snapshot,
  operator: OperatorTable,
  previous?: TenantTable,
  limits?: TableLimits,
): Compiled<TenantTable> {
  return pending(snapshot, operator, previous, limits);
}
export function compileTenantSteps(
  snapshot: Snapshot,
  operator: OperatorTable,
  previous?: TenantTable,
  limits?: TableLimits,
): Generator<void, Compiled<TenantTable>> {
  return pending(snapshot, operator, previous, limits);
}
interface TableParts {
  readonly operator: OperatorTable | null;
  readonly tenants: Iterable<TenantTable>;
}
export function assembleRoutingTable(parts: TableParts, previous?: RoutingTable): RoutingTable {
  return pending(parts, previous);
}
export function assembleRoutingTableSteps(
  parts: TableParts,
  previous?: RoutingTable,
): Generator<void, RoutingTable> {
  return pending(parts, previous);
}
export function decide(authorization: AuthorizationTable, input: DecisionInput): Decision {
  return pending(authorization, input);
}
export function explain(authorization: AuthorizationTable, input: DecisionInput): Explanation {
  return pending(authorization, input);
}
export function visibleTools(
  authorization: AuthorizationTable,
  input: Omit<DecisionInput, 'subject'>,
  names: readonly string[],
): boolean[] {
  return pending(authorization, input, names);
}
/** Rules → table, outside of any policy: for tests of what decides. Throws on a bad rule. */
export function compileAuthorization(
  rules: readonly { readonly name?: string; readonly effect: 'allow' | 'deny'; readonly when: string }[],
): AuthorizationTable {
  return pending(rules);
}
/** JSON text of a tool's arguments as rules see it; undefined if it is not a JSON object. */
export function argsFromJson(text: string): ReadonlyMap<string, unknown> | undefined {
  return pending(text);
}
/** The same from a parsed value; also for the claims of a token. */
export function argsFromValue(value: unknown): ReadonlyMap<string, unknown> | undefined {
  return pending(value);
}
