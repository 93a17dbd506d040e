import { fromBinary, fromJson, type JsonObject, type JsonValue, type Message, toJson } from '@bufbuild/protobuf';
import { digestOf } from './digest.ts';
import { isKind, type Kind, operatorScope, scopeOfKind } from './kind.ts';
import { type MessageOf, schemaOf } from './messages.ts';
import { checkRules } from './policy/compile-rules.ts';
import { type Problem, ProblemList, type ProblemSubject } from './problem.ts';
import { checkBackend } from './resources/backend.ts';
import { canonicalBytes, hasUnknownFields } from './resources/canonical.ts';
import { checkGateway } from './resources/gateway.ts';
import { checkShape } from './resources/json-shape.ts';
import { nameFault } from './resources/name.ts';
import { checkPolicy } from './resources/policy.ts';
import { checkRoute } from './resources/route.ts';
import { checkTenant } from './resources/tenant.ts';
import { checkVirtualServer } from './resources/virtual-server.ts';
import type { StoredResource } from './snapshot.ts';

/** A resource as a person wrote it: the envelope of a document without `apiVersion`. */
export interface ResourceDocument {
  readonly kind: string;
  /** Tenant name; empty for kinds of operator scope. */
  readonly tenant: string;
  readonly name: string;
  /** Proto JSON of the message. */
  readonly spec: JsonValue;
}

/** A decoded and checked resource: a union, told apart by `kind`. */
export type Resource = { readonly [K in Kind]: ResourceOf<K> }[Kind];

export interface ResourceOf<K extends Kind> {
  readonly kind: K;
  /** Tenant name, or `operator`. */
  readonly scope: string;
  readonly name: string;
  readonly message: MessageOf[K];
  readonly stored: StoredResource;
}

/** A sound resource, or the errors that refuse it. Warnings come when the set is compiled, not here. */
export type Decoded =
  | { readonly resource: Resource; readonly problems: readonly [] }
  | { readonly resource?: never; readonly problems: readonly Problem[] };

/** What a person wrote → message, strictly. Every fault is reported with the path of its field. */
export function decodeDocument(document: ResourceDocument): Decoded {
  const { kind, tenant, name, spec } = document;
  const found = new ProblemList({ kind, scope: scopeOfDocument(document), name });
  if (!isKind(kind)) {
    found.error('unknown-kind', 'kind', kind === '' ? 'is required' : 'is not a kind that this version knows');
    return refused(found);
  }
  checkMetadata(kind, tenant, name, found);
  const message = found.refused ? undefined : decodeSpec(kind, spec, found);
  if (message !== undefined) checkMessage(kind, message, found);
  if (message === undefined || found.refused) return refused(found);
  return { resource: makeResource(kind, tenant || operatorScope, name, message), problems: [] };
}

/**
 * Stored or received bytes → message, checked like what a person wrote. Bytes that carry fields unknown to this version
 * are refused: a rule that is not understood must not be served without it. `scope` is needed for kinds of a tenant.
 */
export function decodeStored(stored: StoredResource, scope: string = operatorScope): Decoded {
  const { kind, name } = stored;
  const found = new ProblemList({ kind, scope, name });
  const message = decodeBody(stored, found);
  if (message !== undefined && kind === 'Policy') checkRules(name, message as MessageOf['Policy'], found);
  if (message === undefined || found.refused) return refused(found);
  return { resource: { kind, scope, name, message, stored } as Resource, problems: [] };
}

/**
 * The part of {@link decodeStored} that costs little: everything but the expressions of a policy, which
 * policy/compile-rules.ts checks when it compiles them. Undefined when an error was found.
 */
export function decodeBody<K extends Kind>(
  stored: StoredResource & { readonly kind: K },
  found: ProblemList,
): MessageOf[K] | undefined {
  found.check('metadata.name', nameFault(stored.name));
  if (stored.digest !== digestOf(stored.body)) {
    found.error('invalid-value', '', 'its bytes do not match its version: it was damaged on the way');
    return undefined;
  }
  try {
    const message = fromBinary(schemaOf[stored.kind], stored.body) as Message as MessageOf[K];
    if (hasUnknownFields(message)) {
      found.error('unknown-field', 'spec', 'has fields that this version does not know; upgrade before using them');
      return undefined;
    }
    checkFields(stored.kind, message, found);
    return found.refused ? undefined : message;
  } catch (error) {
    found.error('syntax', 'spec', `cannot be decoded: ${String(error)}`);
    return undefined;
  }
}

/** Message → canonical bytes and their digest. */
export function encodeResource<K extends Kind>(kind: K, name: string, message: MessageOf[K]): StoredResource {
  const body = canonicalBytes(schemaOf[kind], message);
  return Object.freeze({ kind, name, body, digest: digestOf(body) });
}

/** What a person would write for a stored resource. Throws if its bytes are not of its kind. */
export function documentOf(
  scope: string,
  stored: StoredResource,
): { readonly kind: Kind; readonly tenant: string; readonly name: string; readonly spec: JsonObject } {
  const schema = schemaOf[stored.kind];
  const spec = toJson(schema, fromBinary(schema, stored.body)) as JsonObject;
  const tenant = scopeOfKind(stored.kind) === 'operator' ? '' : scope;
  return { kind: stored.kind, tenant, name: stored.name, spec };
}

/** A problem for every `key` of a policy: the control plane stores hashes of keys only. Files may have them. */
export function inlineKeyProblems(resource: Resource): Problem[] {
  if (resource.kind !== 'Policy') return [];
  const found = new ProblemList(resource);
  for (const [at, key] of (resource.message.authentication?.apiKeys ?? []).entries()) {
    if (key.credential.case !== 'key') continue;
    const field = `spec.authentication.apiKeys[${at}].key`;
    found.error('invalid-value', field, 'keys are not stored: give sha256, from: printf %s "$KEY" | sha256sum');
  }
  return found.problems;
}

/** An error for every document whose kind, tenant and name an earlier one already has. */
export function findDuplicates(documents: Iterable<ResourceDocument>): Problem[] {
  const seen = new Set<string>();
  const problems: Problem[] = [];
  for (const document of documents) {
    const key = JSON.stringify([document.kind, document.tenant, document.name]);
    if (seen.has(key)) problems.push(duplicateProblem(document));
    seen.add(key);
  }
  return problems;
}

/** The error that a second document of the same kind, tenant and name is. */
export function duplicateProblem(document: ResourceDocument): Problem {
  const found = new ProblemList(subjectOf(document));
  found.error('duplicate', '', 'is given more than once; keep one of them');
  return found.problems[0] as Problem;
}

/** What problems of a document are filed under. */
export function subjectOf(document: ResourceDocument): ProblemSubject {
  return { kind: document.kind, scope: scopeOfDocument(document), name: document.name };
}

function scopeOfDocument({ kind, tenant }: ResourceDocument): string {
  return tenant === '' && isKind(kind) && scopeOfKind(kind) === 'operator' ? operatorScope : tenant;
}

function refused({ problems }: ProblemList): Decoded {
  return { problems: problems.filter((problem) => problem.severity === 'error') };
}

function checkMetadata(kind: Kind, tenant: string, name: string, found: ProblemList): void {
  found.require('metadata.name', name, nameFault);
  if (scopeOfKind(kind) === 'operator') {
    if (tenant !== '') found.error('wrong-scope', 'metadata.tenant', `a ${kind} belongs to the operator; leave it out`);
    if (kind === 'Tenant' && name === operatorScope) {
      found.error('invalid-value', 'metadata.name', `no tenant can be named ${operatorScope}`);
    }
    return;
  }
  found.require('metadata.tenant', tenant, nameFault);
  if (tenant === operatorScope) {
    found.error(
      'wrong-scope',
      'metadata.tenant',
      `a ${kind} belongs to a tenant, and no tenant is named ${operatorScope}`,
    );
  }
}

function decodeSpec(kind: Kind, spec: JsonValue, found: ProblemList): MessageOf[Kind] | undefined {
  checkShape(schemaOf[kind], spec, 'spec', found);
  if (found.refused) return undefined;
  try {
    return fromJson(schemaOf[kind], spec) as Message as MessageOf[Kind];
  } catch (error) {
    found.error('invalid-value', 'spec', `cannot be decoded: ${String(error)}`);
    return undefined;
  }
}

function checkMessage(kind: Kind, message: MessageOf[Kind], found: ProblemList): void {
  checkFields(kind, message, found);
  if (kind === 'Policy' && !found.refused) checkRules('', message as MessageOf['Policy'], found);
}

const checks: { readonly [K in Kind]: (message: MessageOf[K], found: ProblemList) => void } = {
  Gateway: checkGateway,
  Tenant: checkTenant,
  Backend: checkBackend,
  VirtualServer: checkVirtualServer,
  Route: checkRoute,
  Policy: checkPolicy,
};

function checkFields<K extends Kind>(kind: K, message: MessageOf[K], found: ProblemList): void {
  checks[kind](message, found);
}

function makeResource(kind: Kind, scope: string, name: string, message: MessageOf[Kind]): Resource {
  return { kind, scope, name, message, stored: encodeResource(kind, name, message) } as Resource;
}
