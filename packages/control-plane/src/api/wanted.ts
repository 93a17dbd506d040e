import {
  decodeDocument,
  findDuplicates,
  inlineKeyProblems,
  isKind,
  type Kind,
  operatorScope,
  type Problem,
  type ProblemCode,
  scopeOfKind,
  type StoredResource,
} from '@signalbox/config';
import type { ResourceDocument, ResourceRef } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';

import type { WantedResources } from './plan-write.ts';

/** The parts of a request that say what a scope shall have. */
export interface WantedDocuments {
  readonly scope: string;
  readonly resources: readonly ResourceDocument[];
  readonly delete: readonly ResourceRef[];
  readonly prune: boolean;
  readonly confirmRemoval: boolean;
}

/** Decodes what a request wants, strictly; every document is looked at, so that all problems are told at once. */
export function decodeWanted(request: WantedDocuments): WantedResources | { readonly problems: readonly Problem[] } {
  const documents = request.resources.map(({ kind, tenant, name, spec }) => ({ kind, tenant, name, spec: spec ?? {} }));
  const problems: Problem[] = [...findDuplicates(documents), ...putAndDeleted(request)];
  const put: StoredResource[] = [];
  for (const document of documents) {
    const { resource, problems: found } = decodeDocument(document);
    problems.push(...found);
    if (!resource) continue;
    if (resource.scope !== request.scope) {
      const message = `belongs to the scope "${resource.scope}", but the request is for "${request.scope}": send each scope its own`;
      problems.push(problem(request.scope, document, 'wrong-scope', message));
    }
    problems.push(...inlineKeyProblems(resource));
    put.push(resource.stored);
  }
  const deleted = request.delete.flatMap((ref) => {
    const kind = kindIn(request.scope, ref.kind);
    if (kind) return [{ kind, name: ref.name }];
    const message = `"${ref.kind}" is no kind of the scope "${request.scope}"`;
    problems.push(problem(request.scope, ref, isKind(ref.kind) ? 'wrong-scope' : 'unknown-kind', message));
    return [];
  });
  if (problems.some(({ severity }) => severity === 'error')) return { problems };
  const { prune, confirmRemoval } = request;
  return { put, delete: deleted, prune, confirmRemoval, warnings: problems };
}

function putAndDeleted(request: WantedDocuments): readonly Problem[] {
  const put = new Set(request.resources.map(({ kind, name }) => `${kind}/${name}`));
  return request.delete
    .filter(({ kind, name }) => put.has(`${kind}/${name}`))
    .map((ref) => problem(request.scope, ref, 'duplicate', 'the request both sets and deletes it: choose one'));
}

/** The kind, if the scope can have it. */
export function kindIn(scope: string, kind: string): Kind | undefined {
  const wanted = scope === operatorScope ? 'operator' : 'tenant';
  return isKind(kind) && scopeOfKind(kind) === wanted ? kind : undefined;
}

function problem(
  scope: string,
  { kind, name }: { readonly kind: string; readonly name: string },
  code: ProblemCode,
  message: string,
): Problem {
  return { severity: 'error', code, kind, scope, name, field: '', message };
}
