import type { DescEnum, DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import type { ProblemList } from '../problem.ts';
import { quote } from './name.ts';

/**
 * Whether a JSON value has the shape of a message, with every deviation reported at its field path. Stricter than the
 * proto JSON mapping, where that would hide a mistake: unknown fields, `null`, snake_case names, numbers as strings and
 * two members of a oneof are errors.
 */
export function checkShape(desc: DescMessage, json: JsonValue, field: string, found: ProblemList): void {
  if (!isObject(json)) {
    found.error('invalid-value', field, `must be a mapping, not ${typeName(json)}`);
    return;
  }
  const known = new Map(desc.fields.map((member) => [member.jsonName, member]));
  const oneofs = new Map<string, string>();
  for (const [key, value] of Object.entries(json)) {
    const path = childPath(field, key);
    const member = known.get(key);
    if (member === undefined) {
      found.error('unknown-field', path, unknownField(key, [...known.keys()]));
      continue;
    }
    const rival = member.oneof === undefined ? undefined : oneofs.get(member.oneof.name);
    if (rival !== undefined) found.error('invalid-value', path, `cannot be given together with ${rival}`);
    if (member.oneof !== undefined) oneofs.set(member.oneof.name, key);
    checkField(member, value, path, found);
  }
}

/** Path of a field below another; a key that is no plain word is written in brackets: `spec.labels["a/b"]`. */
export function childPath(field: string, key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(key) ? `${field}.${key}` : `${field}[${JSON.stringify(key)}]`;
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function unknownField(key: string, known: readonly string[]): string {
  const plain = (text: string): string => text.replaceAll(/[_-]/g, '').toLowerCase();
  const near = known.find((name) => plain(name) === plain(key));
  if (near !== undefined) return `unknown field; did you mean ${near}?`;
  return known.length === 0 ? 'unknown field; this has no fields' : `unknown field; known here: ${known.join(', ')}`;
}

function checkField(member: DescField, value: JsonValue, path: string, found: ProblemList): void {
  switch (member.fieldKind) {
    case 'message':
      checkShape(member.message, value, path, found);
      return;
    case 'scalar':
      checkScalar(member.scalar, value, path, found);
      return;
    case 'enum':
      checkEnum(member.enum, value, path, found);
      return;
    case 'list':
      if (!Array.isArray(value)) {
        found.error('invalid-value', path, `must be a list, not ${typeName(value)}`);
        return;
      }
      for (const [at, entry] of value.entries()) checkEntry(member, entry, `${path}[${at}]`, found);
      return;
    case 'map':
      if (!isObject(value)) {
        found.error('invalid-value', path, `must be a mapping, not ${typeName(value)}`);
        return;
      }
      for (const [key, entry] of Object.entries(value)) checkEntry(member, entry, childPath(path, key), found);
  }
}

function checkEntry(
  member: DescField & { fieldKind: 'list' | 'map' },
  entry: JsonValue,
  path: string,
  found: ProblemList,
): void {
  if (member.message !== undefined) checkShape(member.message, entry, path, found);
  else if (member.enum !== undefined) checkEnum(member.enum, entry, path, found);
  else checkScalar(member.scalar, entry, path, found);
}

function checkScalar(scalar: ScalarType, value: JsonValue, path: string, found: ProblemList): void {
  if (scalar === ScalarType.STRING) {
    if (typeof value !== 'string') found.error('invalid-value', path, `must be a string, not ${typeName(value)}`);
    else if (!value.isWellFormed()) found.error('invalid-value', path, 'is not well-formed Unicode');
  } else if (scalar === ScalarType.UINT32) {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return;
    found.error('invalid-value', path, `must be a whole number from 0 to 4294967295, not ${numberOrType(value)}`);
  } else {
    throw new Error(`json-shape: no rule for scalar type ${ScalarType[scalar]} at ${path}`);
  }
}

function checkEnum(desc: DescEnum, value: JsonValue, path: string, found: ProblemList): void {
  const names = desc.values.filter((entry) => entry.number !== 0).map((entry) => entry.name);
  if (typeof value === 'string' && names.includes(value)) return;
  const given = typeof value === 'string' ? quote(value) : typeName(value);
  found.error('invalid-value', path, `must be one of ${names.join(', ')}, not ${given}`);
}

function numberOrType(value: JsonValue): string {
  return typeof value === 'number' ? String(value) : typeName(value);
}

function typeName(value: JsonValue): string {
  if (value === null) return 'null (leave the field out, or give it a value)';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'boolean' ? 'true or false' : `a ${typeof value}`;
}
