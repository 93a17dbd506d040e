import { sha256Hex } from '../digest.ts';
import { canonicalJson, type Json } from './canonical-json.ts';

/** What a catalog holds of a server: the entries of its lists, and what it says of itself. */
export const descriptorKinds = ['server', 'tool', 'prompt', 'resource', 'template'] as const;
export type DescriptorKind = (typeof descriptorKinds)[number];

/** What a server says of one of its things, as it said it. */
export interface Descriptor {
  readonly kind: DescriptorKind;
  /** Name of a tool or prompt, URI of a resource, URI template; `server` for the server itself. */
  readonly name: string;
  /** Lower-case hex SHA-256 of its canonical form: equal for descriptors that say the same. */
  readonly digest: string;
  /** JSON, byte for byte. */
  readonly bytes: Uint8Array;
}

/** Why bytes are no descriptor. */
export interface DescriptorFault {
  readonly fault: string;
}

/** Name of the only descriptor of kind `server`. */
export const serverDescriptorName = 'server';

/** Bytes of one entry of a list, or of what a server says of itself → its descriptor. */
export function readDescriptor(kind: DescriptorKind, bytes: Uint8Array): Descriptor | DescriptorFault {
  try {
    const value = JSON.parse(strictUtf8.decode(bytes)) as Json;
    const name = nameOf(kind, value);
    if (name === undefined) return { fault: `a ${kind} without ${keyOf[kind]}` };
    return { kind, name, digest: descriptorDigest(kind, value), bytes };
  } catch (error) {
    return { fault: `a ${kind} that cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Everything that a descriptor says counts, fields included that nobody here knows: some host may act on them. */
function descriptorDigest(kind: DescriptorKind, value: Json): string {
  return sha256Hex(`signalbox/${kind}/v1\0${canonicalJson(value)}`);
}

/** One digest over all that a server has, whatever the order of its lists. */
export function catalogDigest(descriptors: readonly Pick<Descriptor, 'kind' | 'name' | 'digest'>[]): string {
  const lines = descriptors.map(({ kind, name, digest }) => `${kind} ${JSON.stringify(name)} ${digest}\n`);
  return sha256Hex(`signalbox/catalog/v1\0${lines.sort().join('')}`);
}

const keyOf: Readonly<Record<DescriptorKind, string>> = {
  server: '',
  tool: 'name',
  prompt: 'name',
  resource: 'uri',
  template: 'uriTemplate',
};
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

function nameOf(kind: DescriptorKind, value: Json): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  if (kind === 'server') return serverDescriptorName;
  const name = (value as { readonly [key: string]: Json })[keyOf[kind]];
  return typeof name === 'string' && name !== '' ? name : undefined;
}
