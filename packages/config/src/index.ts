export { isKind, type Kind, kindOfTypeUrl, kinds, operatorScope, scopeOfKind, typeUrlOf } from './kind.ts';
export { discoveryName, parseDiscoveryName, type ResourceId } from './kind.ts';
export { hasErrors, type Problem, type ProblemCode, problemCodes, ProblemList } from './problem.ts';
export {
  defaultRemovalLimits,
  isMassRemoval,
  type MassRemoval,
  massRemoval,
  type RemovalLimits,
} from './removal-guard.ts';
export type { Snapshot, StoredResource } from './snapshot.ts';
export type { BackendEntry, BackendKind, ConnectionEntry, HttpVersion, UpstreamTlsEntry } from './backend-entry.ts';
export type { Forwarding, ForwardingTimeouts, HeaderChanges, RetryEntry } from './forwarding.ts';
export type { CallBounds, LimitEntry, LimitPartition } from './policy/limits.ts';
export type {
  DataPlane,
  ForwardRouteEntry,
  GatewayEntry,
  ListenerEntry,
  McpRoute,
  McpRouteEntry,
  MemberEntry,
  OperatorTable,
  RouteEntry,
  RouteRequest,
  RoutingTable,
  TenantEntry,
  TenantTable,
} from './table.ts';
export {
  isRevoked,
  isSubjectRevoked,
  type RevocableToken,
  type RevocationEntry,
  type RevocationTable,
} from './policy/revocations.ts';
export type { ApiKeyPrincipal, AuthenticationTable, JwtVerifierConfig, Principal } from './policy/authentication.ts';
export type {
  A2aSubject,
  AuthorizationTable,
  CompiledRule,
  Decision,
  DecisionInput,
  HttpSubject,
  McpSubject,
  Subject,
} from './policy/authorization.ts';
export type { MatchCondition } from './match/condition.ts';
export type { Compiled } from './compile/compiled.ts';
export { defaultTableLimits, type TableLimits } from './compile/limits.ts';
export { compileOperator } from './compile/operator.ts';
export { compileTenant, compileTenantSteps } from './compile/tenant.ts';
export { type Change, diffSnapshots } from './diff.ts';
export { digestOf } from './digest.ts';
export type { MessageOf } from './messages.ts';
export { type A2aOperation, a2aOperations, getAgentCard, pushConfigurations } from './policy/a2a-operations.ts';
export { argsFromJson, argsFromValue } from './policy/args.ts';
export { compileAuthorization, type RuleSource } from './policy/compile-rules.ts';
export {
  type OrderTest,
  patternSize,
  ruleCondition,
  type RuleCondition,
  type RuleField,
  type RuleLiteral,
  type TextTest,
} from './policy/rule-condition.ts';
export { celLimits } from './policy/cel.ts';
export { type HealthLimits, type RolloutPlan, rolloutPlanOf, type StagePlan } from './policy/rollout.ts';
export {
  decide,
  decideForMember,
  explain,
  explainForMember,
  type ExplainStep,
  type Explanation,
  visibleTools,
} from './policy/decide.ts';
export type { FederatedMember, Federation, MemberName, MemberUri, NameKind, NameMap } from './federation/federation.ts';
export { nameDelimiter, presentedName, resolveName } from './federation/names.ts';
export { unwrapUri, wrapUri } from './federation/uris.ts';
export {
  type Decoded,
  decodeDocument,
  decodeStored,
  documentOf,
  encodeResource,
  findDuplicates,
  inlineKeyProblems,
  type Resource,
  type ResourceDocument,
  type ResourceOf,
} from './resource.ts';
export {
  parseResourceFile,
  type ResourceFile,
  type ResourceFileOptions,
  type SourceDocument,
  type SourceLocation,
  withLocations,
} from './resource-file.ts';
export { type LabelSelector, parseLabelSelector } from './label-selector.ts';
export { assembleRoutingTable, assembleRoutingTableSteps, type RoutingTableParts } from './routing-table.ts';
export {
  applyChanges,
  applyChangesSteps,
  makeSnapshot,
  makeSnapshotSteps,
  setHash,
  snapshotOfSteps,
  type SnapshotChange,
} from './snapshot.ts';
export { canonicalJson, type Json } from './catalog/canonical-json.ts';
export {
  catalogDigest,
  type Descriptor,
  type DescriptorFault,
  type DescriptorKind,
  descriptorKinds,
  readDescriptor,
  serverDescriptorName,
} from './catalog/descriptor.ts';
export { type FieldChange, fieldChanges } from './catalog/drift.ts';
export { estimatedTokens, toolTokens, type WeighedTool } from './catalog/token-weight.ts';
export { isMetaTool, type MetaTool, metaTools } from './federation/meta-tools.ts';
export { type PresentedServer, presentedServers } from './federation/presented-servers.ts';
export { backendOf } from './compile/backend.ts';
export { rankTools, type SearchedTool, type ToolDocument, toolDocument } from './tool-search/rank.ts';
export type { ToolSearchEntry } from './federation/federation.ts';
