import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Any, AnySchema, type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { digestOf } from '@signalbox/config';
import type { PlainResource } from '@signalbox/xds';

/** A message within another one. */
export function pack<T extends DescMessage>(schema: T, init: MessageInitShape<T>): Any {
  return create(AnySchema, { typeUrl: typeUrlOf(schema), value: toBinary(schema, create(schema, init)) });
}

/** A resource of the stream; its version is the hash of its bytes. */
export function resource<T extends DescMessage>(schema: T, name: string, init: MessageInitShape<T>): PlainResource {
  const body = toBinary(schema, create(schema, init));
  return { name, version: digestOf(body), typeUrl: typeUrlOf(schema), body };
}

export function typeUrlOf(schema: DescMessage): string {
  return `type.googleapis.com/${schema.typeName}`;
}

export function seconds(count: number): Duration {
  return create(DurationSchema, { seconds: BigInt(count) });
}

export function milliseconds(count: number): Duration {
  return create(DurationSchema, { seconds: BigInt(Math.floor(count / 1_000)), nanos: (count % 1_000) * 1_000_000 });
}

/** The entries in the order of their keys, so that equal maps have equal bytes. */
export function sortedRecord<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}
