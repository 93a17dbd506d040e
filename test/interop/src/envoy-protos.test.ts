import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { DescEnum, DescFile, DescMessage } from '@bufbuild/protobuf';
import type { DescriptorProto, EnumDescriptorProto, FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { describe, expect, inject, it } from 'vitest';
import { readDescriptors } from './envoy-descriptors.ts';

const binary = inject('envoy');
const generated = fileURLToPath(new URL('../../../packages/proto/src/', import.meta.url));

describe.skipIf(binary === '')('messages of Envoy that we declare ourselves', () => {
  it('have the names, numbers and types that Envoy itself has', async () => {
    const ours = await declaredFiles();
    const theirs = await readDescriptors(binary, [...ours.keys()]);
    expect([...ours.keys()].filter((file) => !theirs.has(file))).toEqual([]);
    const differences = [...ours].flatMap(([name, file]) => compare(file, theirs.get(name) as FileDescriptorProto));
    expect(differences).toEqual([]);
    expect(ours.size).toBeGreaterThan(20);
  });
});

/** Generated files of Envoy's and xDS' packages, by the name of their source. */
async function declaredFiles(): Promise<ReadonlyMap<string, DescFile>> {
  const files = new Map<string, DescFile>();
  const paths = ['envoy', 'xds'].flatMap((folder) =>
    readdirSync(join(generated, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  );
  for (const path of paths.filter((each) => each.endsWith('_pb.ts')).sort()) {
    const exports = Object.values((await import(join(generated, path))) as Record<string, unknown>);
    const file = exports.find((value) => (value as { kind?: unknown } | null)?.kind === 'file') as DescFile;
    // Services of discovery are declared under a file of our own.
    if (file.messages.length > 0) files.set(`${file.name}.proto`, file);
  }
  return files;
}

function compare(ours: DescFile, theirs: FileDescriptorProto): readonly string[] {
  return [
    ...ours.messages.flatMap((message) => compareMessage(message, theirs.messageType)),
    ...ours.enums.flatMap((each) => compareEnum(each, theirs.enumType)),
  ];
}

function compareMessage(ours: DescMessage, candidates: readonly DescriptorProto[]): readonly string[] {
  const theirs = candidates.find(({ name }) => name === ours.name);
  if (!theirs) return [`${ours.typeName} does not exist`];
  const fields = ours.proto.field.filter((field) => {
    const other = theirs.field.find(({ name }) => name === field.name);
    return other?.number !== field.number || other.type !== field.type || other.typeName !== field.typeName;
  });
  return [
    ...fields.map((field) => `${ours.typeName}.${field.name} differs`),
    ...ours.nestedMessages.flatMap((nested) => compareMessage(nested, theirs.nestedType)),
    ...ours.nestedEnums.flatMap((nested) => compareEnum(nested, theirs.enumType)),
  ];
}

function compareEnum(ours: DescEnum, candidates: readonly EnumDescriptorProto[]): readonly string[] {
  const theirs = candidates.find(({ name }) => name === ours.name);
  if (!theirs) return [`${ours.typeName} does not exist`];
  return ours.values
    .filter(({ name, number }) => theirs.value.find((value) => value.name === name)?.number !== number)
    .map(({ name }) => `${ours.typeName}.${name} differs`);
}
