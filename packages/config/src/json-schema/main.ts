import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readProtoComments } from './proto-comments.ts';
import { resourceSchema } from './schema.ts';

// Writes deploy/schema/signalbox.schema.json; with --check it only says whether the file is up to date.
const protos = new URL('../../../../proto/signalbox/config/v1/', import.meta.url);
const target = new URL('../../../../deploy/schema/signalbox.schema.json', import.meta.url);

const comments = readdirSync(protos)
  .filter((file) => file.endsWith('.proto'))
  .flatMap((file) => [...readProtoComments(readFileSync(new URL(file, protos), 'utf8'))]);
const text = `${JSON.stringify(resourceSchema(new Map(comments)), null, 2)}\n`;

if (process.argv.includes('--check')) {
  if (present() !== text) {
    console.error('deploy/schema/signalbox.schema.json is stale: run `npm run gen` and commit the result');
    process.exitCode = 1;
  }
} else {
  mkdirSync(new URL('.', target), { recursive: true });
  writeFileSync(target, text);
}

function present(): string | undefined {
  try {
    return readFileSync(target, 'utf8');
  } catch {
    return undefined;
  }
}
