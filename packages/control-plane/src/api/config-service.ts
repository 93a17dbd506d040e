import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { diffSnapshots, isKind, operatorScope } from '@signalbox/config';
import type {
  ApplyRequest,
  ConfigService,
  DiffRequest,
  ExplainRequest,
  GetRequest,
  GetRevisionRequest,
  ListRequest,
  ListRevisionsRequest,
  GetPropagationRequest,
  RollbackRequest,
  WatchPropagationRequest,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';

import type { ConfigStore, RevisionInfo, WriteInputs, WriteOutcome, WritePlan } from '../store/store.ts';
import { callerOf, noSuchScope, requireScope } from './authorize.ts';
import { changeMessage, resourceMessage } from './documents.ts';
import { invalidArgument, noSuchRevision, problemMessage, refusal } from './errors.ts';
import type { Explainer } from './explainer.ts';
import type { WantedResources, WritePlanner } from './plan-write.ts';
import type { PropagationApi } from './propagation-service.ts';
import { decodeWanted, kindIn, type WantedDocuments } from './wanted.ts';
import { fingerprint, writeOptions } from './write-options.ts';

export interface ConfigServiceParts {
  readonly store: ConfigStore;
  readonly planner: WritePlanner;
  readonly explainer: Explainer;
  readonly propagation: PropagationApi;
  readonly limits: ApiLimits;
}

export interface ApiLimits {
  /** Resources that one request may name. */
  readonly applyResources: number;
  /** Characters of a revision's message. */
  readonly messageLength: number;
  /** Problems that one answer names. */
  readonly problems: number;
}

const defaultRevisions = 50;
const maxRevisions = 1_000;

/** Resources and revisions of one scope. */
export class ConfigApi implements ServiceImpl<typeof ConfigService> {
  readonly #parts: ConfigServiceParts;

  constructor(parts: ConfigServiceParts) {
    this.#parts = parts;
  }

  async apply(request: ApplyRequest, context: HandlerContext) {
    const { scope } = request;
    const caller = callerOf(context);
    requireScope(caller, scope);
    const { store, planner, limits } = this.#parts;
    const options = writeOptions(request, context.requestHeader, limits.messageLength);
    const wanted = this.#decode(request);
    const plan = (inputs: WriteInputs) => planner.apply(inputs, wanted);
    if (request.dryRun) return this.#dryRun(scope, options.ifMatch, plan);
    const outcome = await store.write({
      ...{ scope, author: caller.name, cause: 'apply', ...options, plan, confirmRemoval: request.confirmRemoval },
      fingerprint: fingerprint('apply', scope, ...fingerprintOf(wanted)),
    });
    return this.#written(scope, outcome);
  }

  async get(request: GetRequest, context: HandlerContext) {
    const { scope, kind, name } = request;
    requireScope(callerOf(context), scope);
    const known = kindIn(scope, kind);
    if (!known) throw invalidArgument(`"${kind}" is no kind of the scope "${scope}"`);
    const list = await this.#parts.store.list(scope, { kind: known, name });
    if (!list) throw noSuchScope(scope);
    const [found] = list.resources;
    if (!found || name === '') throw new ConnectError(`${kind} "${name}" does not exist in "${scope}"`, Code.NotFound);
    return { resource: resourceMessage(scope, found.resource, found.revision) };
  }

  async list(request: ListRequest, context: HandlerContext) {
    const { scope, kind } = request;
    requireScope(callerOf(context), scope);
    if (kind !== '' && !isKind(kind)) throw invalidArgument(`"${kind}" is no kind`);
    const list = await this.#parts.store.list(scope, isKind(kind) ? { kind } : {});
    if (!list) throw noSuchScope(scope);
    return {
      revision: list.revision,
      resources: list.resources.map(({ resource, revision }) => resourceMessage(scope, resource, revision)),
    };
  }

  async diff(request: DiffRequest, context: HandlerContext) {
    const { scope } = request;
    requireScope(callerOf(context), scope);
    this.#requireSize(request);
    const wanted = decodeWanted(request);
    if ('problems' in wanted) return { problems: this.#problems(wanted.problems) };
    const found = await this.#plan(scope, (inputs) => this.#parts.planner.apply(inputs, wanted));
    const revision = found.current.revision;
    if (found.plan.outcome === 'write') {
      const changes = diffSnapshots(found.current, found.plan.candidate);
      const problems = this.#problems(found.plan.warnings);
      return { revision, problems, changes: changes.map((change) => changeMessage(scope, change)) };
    }
    return { revision, problems: found.plan.outcome === 'refuse' ? this.#problems(found.plan.problems) : [] };
  }

  async listRevisions(request: ListRevisionsRequest, context: HandlerContext) {
    const { scope, before, limit } = request;
    requireScope(callerOf(context), scope);
    if (limit > maxRevisions) throw invalidArgument(`limit is at most ${maxRevisions}`);
    const page = { limit: limit === 0 ? defaultRevisions : limit, before: before === 0n ? undefined : before };
    const revisions = await this.#parts.store.revisions(scope, page);
    if (!revisions) throw noSuchScope(scope);
    return { revisions: revisions.map(revisionMessage) };
  }

  async getRevision(request: GetRevisionRequest, context: HandlerContext) {
    const { scope, revision } = request;
    requireScope(callerOf(context), scope);
    const found = await this.#parts.store.revision(scope, revision);
    if (!found) throw noSuchRevision(scope, revision);
    return {
      revision: revisionMessage(found),
      changes: found.changes.map((change) => changeMessage(scope, change)),
    };
  }

  async rollback(request: RollbackRequest, context: HandlerContext) {
    const { scope, toRevision, confirmRemoval } = request;
    const caller = callerOf(context);
    requireScope(caller, scope);
    const { store, planner, limits } = this.#parts;
    const options = writeOptions(request, context.requestHeader, limits.messageLength);
    const outcome = await store.write({
      ...{ scope, author: caller.name, cause: 'rollback', returnsTo: toRevision, ...options },
      message: options.message === '' ? `back to revision ${toRevision}` : options.message,
      fingerprint: fingerprint('rollback', scope, toRevision.toString()),
      confirmRemoval,
      plan: (inputs) => planner.rollback(inputs, toRevision, confirmRemoval),
    });
    if (outcome.outcome === 'no-such-revision') throw noSuchRevision(scope, toRevision);
    const { revision, committed, staged, changes } = this.#written(scope, outcome);
    return { revision, committed, staged, changes };
  }

  getPropagation(request: GetPropagationRequest, context: HandlerContext) {
    return this.#parts.propagation.getPropagation(request, context);
  }

  watchPropagation(request: WatchPropagationRequest, context: HandlerContext) {
    return this.#parts.propagation.watchPropagation(request, context);
  }

  async explain(request: ExplainRequest, context: HandlerContext) {
    const { scope } = request;
    requireScope(callerOf(context), scope);
    if (scope === operatorScope) throw invalidArgument('scope must be a tenant: the operator has no routes');
    const inputs = await this.#parts.store.read(scope, ({ current, operator }) =>
      Promise.resolve({ current, operator }),
    );
    if (!inputs) throw noSuchScope(scope);
    return this.#parts.explainer.explain(request, inputs);
  }

  #decode(request: WantedDocuments): WantedResources {
    this.#requireSize(request);
    const wanted = decodeWanted(request);
    if ('problems' in wanted) throw refusal(wanted.problems, this.#parts.limits.problems);
    return wanted;
  }

  #requireSize(request: WantedDocuments): void {
    const { applyResources } = this.#parts.limits;
    if (request.resources.length + request.delete.length <= applyResources) return;
    throw invalidArgument(`the request names more than ${applyResources} resources: send it in parts`);
  }

  async #dryRun(scope: string, ifMatch: bigint | undefined, plan: (inputs: WriteInputs) => Promise<WritePlan>) {
    const found = await this.#plan(scope, plan);
    const { revision } = found.current;
    if (ifMatch !== undefined && ifMatch !== revision) throw revisionMismatch(scope, revision);
    if (found.plan.outcome === 'refuse') throw refusal(found.plan.problems, this.#parts.limits.problems);
    if (found.plan.outcome === 'no-such-revision') throw new Error('a plan of resources names no revision');
    const { candidate, warnings } = found.plan;
    const changes = diffSnapshots(found.current, candidate);
    return this.#written(scope, { outcome: 'unchanged', revision, committed: false, staged: false, changes, warnings });
  }

  async #plan(scope: string, plan: (inputs: WriteInputs) => Promise<WritePlan>) {
    const found = await this.#parts.store.read(scope, async (inputs) => ({
      current: inputs.current,
      plan: await plan(inputs),
    }));
    if (!found) throw noSuchScope(scope);
    return found;
  }

  #written(scope: string, outcome: WriteOutcome) {
    const { problems } = this.#parts.limits;
    const { revision, committed, staged, changes, warnings } = successful(scope, outcome, problems);
    return {
      ...{ revision, committed, staged },
      changes: changes.map((change) => changeMessage(scope, change)),
      warnings: this.#problems(warnings),
    };
  }

  #problems(problems: Parameters<typeof refusal>[0]) {
    return problems.slice(0, this.#parts.limits.problems).map(problemMessage);
  }
}

type Written = Extract<WriteOutcome, { readonly committed: boolean }>;

/** The outcome of a write that took place. @throws ConnectError saying why another one did not. */
export function successful(scope: string, outcome: WriteOutcome, maxProblems: number): Written {
  switch (outcome.outcome) {
    case 'committed':
    case 'unchanged':
    case 'repeated':
      return outcome;
    case 'refused':
      throw refusal(outcome.problems, maxProblems);
    case 'revision-mismatch':
      throw revisionMismatch(scope, outcome.newest);
    case 'request-id-reused':
      throw invalidArgument('request_id was used before for another request: choose a new one');
    case 'no-such-scope':
      throw noSuchScope(scope);
    case 'no-such-revision':
      throw new ConnectError(`"${scope}" has no such revision`, Code.NotFound);
  }
}

function revisionMismatch(scope: string, newest: bigint): ConnectError {
  const text = `"${scope}" is at revision ${newest}: look at what changed, then try again on top of it`;
  return new ConnectError(text, Code.FailedPrecondition);
}

function revisionMessage(info: RevisionInfo) {
  const { revision, parent, cause, author, message, at, changeCount } = info;
  return { revision, parent, cause, author, message, at: timestampFromDate(at), changeCount };
}

/** What tells one request from another: contents, not their spelling. */
function fingerprintOf(wanted: WantedResources): readonly unknown[] {
  const put = wanted.put.map(({ kind, name, digest }) => [kind, name, digest]);
  return [put, wanted.delete.map(({ kind, name }) => [kind, name]), wanted.prune];
}
