import { type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type FieldChange, fieldChanges, type Json } from '@signalbox/config';
import {
  Catalog_State as State,
  CatalogChange_Op as Op,
  type CatalogChangeSchema,
  type CatalogDescriptorSchema,
  type CatalogSchema,
  type CatalogVersionSchema,
} from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';

import type { Catalog, CatalogEntry, CatalogState, CatalogVersion, EntryChange } from '../catalog/catalog.ts';

const states: Readonly<Record<CatalogState, State>> = {
  pending: State.PENDING,
  current: State.CURRENT,
  'needs-auth': State.NEEDS_AUTH,
  unreachable: State.UNREACHABLE,
  failed: State.FAILED,
};

export function catalogMessage(catalog: Catalog): MessageInitShape<typeof CatalogSchema> {
  const { tenant: scope, state, checkedAt, changedAt, dueAt, ...rest } = catalog;
  const { backend, problem, node, era, protocolVersion, version, digest, counts, toolTokens } = rest;
  return {
    ...{ scope, backend, problem, node, era, protocolVersion, version, digest, counts, toolTokens },
    state: states[state],
    nextCheckAt: timestampFromDate(dueAt),
    ...(checkedAt && { checkedAt: timestampFromDate(checkedAt) }),
    ...(changedAt && { changedAt: timestampFromDate(changedAt) }),
  };
}

export function descriptorMessage(entry: CatalogEntry): MessageInitShape<typeof CatalogDescriptorSchema> {
  const { kind, name, digest, since: sinceVersion } = entry;
  return { kind, name, digest, sinceVersion, json: textOf(entry) };
}

export function versionMessage({
  at,
  names,
  ...version
}: CatalogVersion): MessageInitShape<typeof CatalogVersionSchema> {
  return { ...version, at: timestampFromDate(at), names: [...names] };
}

/** Places within a descriptor that are told, and characters of what stands there. */
const told = { fields: 100, characters: 2_000 };

export function changeMessage({
  kind,
  name,
  before,
  after,
}: EntryChange): MessageInitShape<typeof CatalogChangeSchema> {
  const fields = before && after ? fieldChanges(valueOf(before), valueOf(after), told.fields) : [];
  return {
    ...{ kind, name, beforeDigest: before?.digest ?? '', afterDigest: after?.digest ?? '' },
    op: before === undefined ? Op.ADDED : after === undefined ? Op.REMOVED : Op.CHANGED,
    fields: fields.map(fieldMessage),
  };
}

function fieldMessage({ path, before, after }: FieldChange) {
  return {
    path,
    ...(before !== undefined && { before: shortened(before) }),
    ...(after !== undefined && { after: shortened(after) }),
  };
}

function shortened(text: string): string {
  return text.length > told.characters ? `${text.slice(0, told.characters)}…` : text;
}

function textOf({ bytes }: CatalogEntry): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function valueOf(entry: CatalogEntry): Json {
  return JSON.parse(textOf(entry)) as Json;
}
