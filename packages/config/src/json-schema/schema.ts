import { type DescEnum, type DescField, type DescMessage, type JsonObject, ScalarType } from '@bufbuild/protobuf';
import { type Kind, kinds, scopeOfKind } from '../kind.ts';
import { schemaOf } from '../messages.ts';
import type { ProtoComments } from './proto-comments.ts';

/** JSON Schema (draft 2020-12) of a resource document, for editors: the envelope and the spec of every kind. */
export function resourceSchema(comments: ProtoComments): JsonObject {
  const definitions = new Definitions(comments);
  const kindSchemas = kinds.map((kind) => kindSchema(kind, definitions));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Signalbox resource',
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata'],
    additionalProperties: false,
    properties: {
      apiVersion: { const: 'signalbox.dev/v1' },
      kind: { enum: [...kinds] },
      metadata: { type: 'object' },
      spec: { type: 'object' },
    },
    allOf: kindSchemas,
    $defs: definitions.all(),
  };
}

const label: JsonObject = {
  type: 'string',
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
};

function kindSchema(kind: Kind, definitions: Definitions): JsonObject {
  const ofTenant = scopeOfKind(kind) === 'tenant';
  const metadata: JsonObject = {
    type: 'object',
    required: ofTenant ? ['tenant', 'name'] : ['name'],
    additionalProperties: false,
    properties: {
      ...(ofTenant ? { tenant: { ...label, description: 'Name of the tenant that owns the resource.' } } : {}),
      name: { ...label, description: `Name of the ${kind}, unique within its kind${ofTenant ? ' and tenant' : ''}.` },
    },
  };
  return {
    if: { properties: { kind: { const: kind } }, required: ['kind'] },
    then: { properties: { metadata, spec: definitions.reference(schemaOf[kind]) } },
  };
}

/** The schemas of all messages that were referred to. */
class Definitions {
  readonly #comments: ProtoComments;
  readonly #schemas = new Map<string, JsonObject>();

  constructor(comments: ProtoComments) {
    this.#comments = comments;
  }

  all(): JsonObject {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  reference(desc: DescMessage): JsonObject {
    const name = localName(desc);
    if (!this.#schemas.has(name)) {
      this.#schemas.set(name, {});
      this.#schemas.set(name, this.#message(desc));
    }
    return { $ref: `#/$defs/${name}` };
  }

  #message(desc: DescMessage): JsonObject {
    const properties: JsonObject = {};
    for (const field of desc.fields) {
      properties[field.jsonName] = { ...this.#field(field), ...this.#description(`${localName(desc)}.${field.name}`) };
    }
    return {
      type: 'object',
      ...this.#description(localName(desc)),
      additionalProperties: false,
      properties,
      ...exclusions(desc),
    };
  }

  #field(field: DescField): JsonObject {
    switch (field.fieldKind) {
      case 'message':
        return this.reference(field.message);
      case 'list':
        return { type: 'array', items: this.#entry(field) };
      case 'map':
        return { type: 'object', additionalProperties: this.#entry(field) };
      case 'enum':
      case 'scalar':
        return this.#entry(field);
    }
  }

  #entry(field: DescField): JsonObject {
    if (field.message !== undefined) return this.reference(field.message);
    return field.enum === undefined ? scalarSchema(field.scalar) : this.#enum(field.enum);
  }

  #enum(desc: DescEnum): JsonObject {
    return { enum: desc.values.filter((value) => value.number !== 0).map((value) => value.name) };
  }

  #description(name: string): JsonObject {
    const description = this.#comments.get(name);
    return description === undefined ? {} : { description };
  }
}

function localName(desc: DescMessage): string {
  return desc.typeName.slice(desc.file.proto.package.length + 1);
}

function scalarSchema(scalar: ScalarType): JsonObject {
  if (scalar === ScalarType.STRING) return { type: 'string' };
  if (scalar === ScalarType.UINT32) return { type: 'integer', minimum: 0, maximum: 0xffff_ffff };
  throw new Error(`json-schema: no schema for scalar type ${ScalarType[scalar]}`);
}

/** At most one member of each oneof may be given. */
function exclusions(desc: DescMessage): JsonObject {
  const pairs = desc.oneofs.flatMap(({ fields }) =>
    fields.flatMap((a, at) => fields.slice(at + 1).map((b) => ({ required: [a.jsonName, b.jsonName] }))),
  );
  return pairs.length === 0 ? {} : { not: { anyOf: pairs } };
}
