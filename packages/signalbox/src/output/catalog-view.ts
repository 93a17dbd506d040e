import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type Catalog,
  Catalog_State as State,
  type CatalogChange,
  CatalogChange_Op as Op,
  type DiffCatalogResponse,
  type GetCatalogResponse,
  type ListCatalogVersionsResponse,
  type VirtualServerWeight,
} from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';
import { age } from './age.ts';
import { printableLine } from './printable.ts';
import type { Style } from './style.ts';
import { type Cell, renderTable } from './table.ts';
import { localTime } from './time.ts';

/** One line a backend. */
export function renderCatalogs(
  catalogs: readonly Catalog[],
  { scope, nowMs }: { readonly scope: string; readonly nowMs: number },
  paint: Style,
): string {
  if (catalogs.length === 0) return `tenant ${scope} has no MCP backend\n`;
  const heads = [
    'backend',
    'state',
    'version',
    'tools',
    'prompts',
    'resources',
    'templates',
    '~tokens',
    'changed',
    'looked',
    'problem',
  ];
  const rows = catalogs.map((catalog): Cell[] => {
    const { backend, version, counts, toolTokens, changedAt, checkedAt, problem } = catalog;
    const numbers = [counts?.tools, counts?.prompts, counts?.resources, counts?.templates, toolTokens];
    return [
      ...[backend, stateOf(catalog), version === 0n ? '-' : String(version)],
      ...numbers.map((count) => (version === 0n ? '-' : String(count ?? 0))),
      ...[changedAt, checkedAt].map((at) => (at ? `${age(nowMs, timestampMs(at))} ago` : '-')),
      problem,
    ];
  });
  return renderTable(heads, rows, paint);
}

/** What one backend has, by kind. */
export function renderCatalog(
  { catalog, version, descriptors }: GetCatalogResponse,
  nowMs: number,
  paint: Style,
): string {
  const head = catalog ? headOf(catalog, version, nowMs, paint) : '';
  if (descriptors.length === 0)
    return `${head}${version === 0n ? 'nothing is known of it yet' : 'nothing of that kind or name'}\n`;
  const rows = descriptors.map(({ kind, name, sinceVersion, digest, json }): Cell[] => {
    return [kind, name, String(sinceVersion), { text: digest.slice(0, 12), as: 'dim' }, summary(json)];
  });
  return head + renderTable(['kind', 'name', 'since', 'digest', 'description'], rows, paint);
}

/** One line a version. */
export function renderCatalogVersions(
  { catalog, versions }: ListCatalogVersionsResponse,
  nowMs: number,
  paint: Style,
): string {
  const head = catalog ? headOf(catalog, catalog.version, nowMs, paint) : '';
  if (versions.length === 0) return `${head}nothing is known of it yet\n`;
  const rows = versions.map(({ version, at, node, added, removed, changed, names }): Cell[] => {
    const more = added + removed + changed - names.length;
    const what = more > 0 ? [...names, `${more} more`] : names;
    return [String(version), localTime(at), node, `+${added} -${removed} ~${changed}`, what.join(', ')];
  });
  return head + renderTable(['version', 'at', 'seen by', 'changes', 'what'], rows, paint);
}

/** What was added, removed and changed, with the places that changed below. */
export function renderCatalogChanges({ from, to, changes }: DiffCatalogResponse, paint: Style): string {
  if (changes.length === 0) return `no change from version ${from} to ${to}\n`;
  return `${[paint.dim(`version ${from} → ${to}`), ...changes.flatMap((change) => changeLines(change, paint))].join('\n')}\n`;
}

function changeLines({ op, kind, name, fields }: CatalogChange, paint: Style): readonly string[] {
  const what = printableLine(`${kind} ${name}`);
  if (op === Op.ADDED) return [paint.good(`+ ${what}`)];
  if (op === Op.REMOVED) return [paint.bad(`- ${what}`)];
  return [
    paint.doubtful(`~ ${what}`),
    ...fields.flatMap(({ path, before, after }) => [
      `    ${printableLine(path)}`,
      ...(before === undefined ? [] : [paint.bad(`      - ${printableLine(before)}`)]),
      ...(after === undefined ? [] : [paint.good(`      + ${printableLine(after)}`)]),
    ]),
  ];
}

/** One line a virtual server. */
export function renderWeights(weights: readonly VirtualServerWeight[], scope: string, paint: Style): string {
  if (weights.length === 0) return `tenant ${scope} has no VirtualServer\n`;
  const rows = weights.map((weight): Cell[] => {
    const { virtualServer, tools, tokens, toolSearch, searchableTools, searchableTokens, unknownMembers } = weight;
    const found = toolSearch ? `${searchableTools} (~${searchableTokens} tokens)` : '-';
    return [virtualServer, String(tools), String(tokens), found, unknownMembers.join(', ') || '-'];
  });
  return renderTable(['virtual server', 'listed tools', '~tokens', 'found by search', 'not known yet'], rows, paint);
}

function headOf(catalog: Catalog, version: bigint, nowMs: number, paint: Style): string {
  const { scope, backend, state, era, protocolVersion, checkedAt, node, problem } = catalog;
  const looked = checkedAt
    ? `looked at ${age(nowMs, timestampMs(checkedAt))} ago by ${node}`
    : 'no node has looked yet';
  const speaks = era === '' ? '' : `, ${era} ${protocolVersion}`;
  const line = printableLine(
    `${scope}/${backend} version ${version}: ${(words[state] ?? unknown).text}${speaks}, ${looked}`,
  );
  return `${paint.dim(line)}\n${problem === '' ? '' : `${paint.doubtful(printableLine(problem))}\n`}`;
}

const unknown = { text: 'unknown', as: 'doubtful' } as const;
const words: Readonly<Record<number, { readonly text: string; readonly as: keyof Style }>> = {
  [State.PENDING]: { text: 'pending', as: 'dim' },
  [State.CURRENT]: { text: 'current', as: 'good' },
  [State.NEEDS_AUTH]: { text: 'needs auth', as: 'doubtful' },
  [State.UNREACHABLE]: { text: 'unreachable', as: 'bad' },
  [State.FAILED]: { text: 'failed', as: 'bad' },
};

function stateOf({ state }: Catalog): Cell {
  return words[state] ?? unknown;
}

/** Characters of a description in a table. */
const summaryLength = 60;

function summary(json: string): string {
  const { title, description, instructions } = JSON.parse(json) as Record<string, unknown>;
  const said = [description, title, instructions].find((text): text is string => typeof text === 'string') ?? '';
  const characters = Array.from(said.split('\n', 1)[0] ?? '');
  return characters.length > summaryLength
    ? `${characters.slice(0, summaryLength - 1).join('')}…`
    : characters.join('');
}
