import { create } from '@bufbuild/protobuf';
import {
  decodeDocument,
  encodeResource,
  findDuplicates,
  operatorScope,
  parseResourceFile,
  type Problem,
  type SourceDocument,
  type StoredResource,
  withLocations,
} from '@signalbox/config';
import { GatewaySchema } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import type { ConfigText } from './config-files.ts';

/** The resources in files, by scope, and what is wrong with them. */
export interface FileResources {
  readonly scopes: ReadonlyMap<string, readonly StoredResource[]>;
  readonly problems: readonly Problem[];
  /** Documents as they stand in the files, to say where a problem is. */
  readonly documents: readonly SourceDocument[];
}

/** Port of the gateway that is served when the files name none. */
const defaultPort = 8080;

/**
 * Reads the resources of all files as one configuration. What an operator would have to declare may be left out: the
 * gateway gets one listener, and every tenant that is named exists.
 * @param variables value of `${env:NAME}`.
 */
export function readFileResources(
  texts: readonly ConfigText[],
  gateway: string,
  variables: (name: string) => string | undefined,
): FileResources {
  const documents: SourceDocument[] = [];
  const problems: Problem[] = [];
  for (const { path, text } of texts) {
    const parsed = parseResourceFile(text, { file: path, variables });
    documents.push(...parsed.documents);
    problems.push(...parsed.problems);
  }
  problems.push(...findDuplicates(documents));
  const scopes = new Map<string, StoredResource[]>([[operatorScope, []]]);
  for (const document of documents) {
    const decoded = decodeDocument(document);
    problems.push(...decoded.problems);
    if (!decoded.resource) continue;
    const { scope, stored } = decoded.resource;
    const held = scopes.get(scope);
    if (held) held.push(stored);
    else scopes.set(scope, [stored]);
  }
  addOperatorDefaults(scopes, gateway);
  return { scopes, problems: withLocations(problems, documents), documents };
}

function addOperatorDefaults(scopes: Map<string, StoredResource[]>, gateway: string): void {
  const operator = scopes.get(operatorScope) ?? [];
  if (!operator.some((resource) => resource.kind === 'Gateway')) {
    const listeners = [{ name: 'http', port: defaultPort }];
    operator.push(encodeResource('Gateway', gateway, create(GatewaySchema, { listeners })));
  }
  const declared = new Set(operator.filter(({ kind }) => kind === 'Tenant').map(({ name }) => name));
  for (const tenant of scopes.keys()) {
    if (tenant === operatorScope || declared.has(tenant)) continue;
    operator.push(encodeResource('Tenant', tenant, create(TenantSchema, {})));
  }
}

/** A problem in one line, with file and line where they are known. */
export function describeProblem(problem: Problem): string {
  const place = problem.file === undefined ? '' : `${problem.file}:${problem.line ?? 1}: `;
  const resource = problem.kind === '' ? '' : `${problem.kind} ${problem.scope}/${problem.name}: `;
  const field = problem.field === '' ? '' : `${problem.field}: `;
  return `${place}${resource}${field}${problem.message}`;
}
