import { type A2aOperation, a2aOperations } from '@signalbox/config';

/** Versions of A2A by Major.Minor. */
export type A2aVersion = '1.0' | '0.3';

/** The operation of a JSON-RPC method; undefined if the version has none of that name. */
export function operationOf(version: A2aVersion, method: string): A2aOperation | undefined {
  return byVersion[version].get(method);
}

/** The version that a request asks for: a missing one is 0.3; undefined for one that is not carried. */
export function versionOf(requested: string): A2aVersion | undefined {
  if (requested === '') return '0.3';
  const [, majorMinor] = /^(\d{1,3}\.\d{1,3})(?:\.\d{1,3})?$/.exec(requested) ?? [];
  return majorMinor === '1.0' || majorMinor === '0.3' ? majorMinor : undefined;
}

const byVersion: Readonly<Record<A2aVersion, ReadonlyMap<string, A2aOperation>>> = {
  '1.0': new Map(a2aOperations.map((operation) => [operation.name, operation])),
  '0.3': new Map(
    a2aOperations.flatMap((operation) => (operation.older === undefined ? [] : [[operation.older, operation]])),
  ),
};
