import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JsonLinesSink } from './json-lines-sink.ts';
import type { OutcomeEvent } from './event.ts';
import type { Sink } from './recorder.ts';
import { MemorySink } from './testing/memory-sink.ts';
import { sampleOutcome } from './testing/outcome.ts';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-audit-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function linesOf(file: string): Promise<OutcomeEvent[]> {
  const text = await readFile(join(folder, file), 'utf8');
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as OutcomeEvent]));
}

const implementations: readonly [string, () => { sink: Sink; stored: () => Promise<OutcomeEvent[]> }][] = [
  [
    'MemorySink',
    () => {
      const sink = new MemorySink();
      return { sink, stored: async () => sink.events };
    },
  ],
  [
    'JsonLinesSink',
    () => ({ sink: new JsonLinesSink({ file: join(folder, 'events.jsonl') }), stored: () => linesOf('events.jsonl') }),
  ],
];

describe.each(implementations)('%s, as a sink,', (_, create) => {
  it('has stored a batch when the write resolves, in order and unchanged', async () => {
    const { sink, stored } = create();
    const events = [sampleOutcome({ id: 'a' }), sampleOutcome({ id: 'b', tool: 'line\nbreak\u001b"é' })];
    await sink.write(events);
    expect(await stored()).toEqual(events);
    await sink.write([sampleOutcome({ id: 'c' })]);
    expect((await stored()).map((event) => event.id)).toEqual(['a', 'b', 'c']);
    await sink.close();
  });

  it('takes an empty batch, and closes without having written', async () => {
    const { sink, stored } = create();
    await sink.write([]);
    expect(await stored()).toEqual([]);
    await sink.close();
    await create().sink.close();
  });
});

describe('a file of events', () => {
  const bytes = Buffer.byteLength(`${JSON.stringify(sampleOutcome({ id: '1' }))}\n`);

  it('is put aside when it is full, and only so many are kept', async () => {
    const sink = new JsonLinesSink({ file: join(folder, 'e'), maxBytes: bytes * 2, maxFiles: 3 });
    for (let id = 1; id <= 9; id += 1) await sink.write([sampleOutcome({ id: String(id) })]);
    await sink.close();
    expect((await readdir(folder)).toSorted()).toEqual(['e', 'e.1', 'e.2']);
    const ids = await Promise.all(
      ['e.2', 'e.1', 'e'].map(async (file) => (await linesOf(file)).map((event) => event.id)),
    );
    expect(ids).toEqual([['5', '6'], ['7', '8'], ['9']]);
  });

  it('may be the only one', async () => {
    const sink = new JsonLinesSink({ file: join(folder, 'e'), maxBytes: bytes, maxFiles: 1 });
    await sink.write([sampleOutcome({ id: '1' })]);
    await sink.write([sampleOutcome({ id: '2' })]);
    await sink.close();
    expect(await readdir(folder)).toEqual(['e']);
    expect((await linesOf('e')).map((event) => event.id)).toEqual(['2']);
  });

  it('is continued by the next process, which closes a line that a crash tore', async () => {
    await writeFile(join(folder, 'e'), `${JSON.stringify(sampleOutcome({ id: '1' }))}\n`);
    await appendFile(join(folder, 'e'), '{"type":"outc');
    const sink = new JsonLinesSink({ file: join(folder, 'e') });
    await sink.write([sampleOutcome({ id: '2' })]);
    await sink.close();
    const lines = (await readFile(join(folder, 'e'), 'utf8')).split('\n');
    expect(lines[1]).toBe('{"type":"outc');
    expect(JSON.parse(lines[2] as string)).toEqual(sampleOutcome({ id: '2' }));
  });

  it('may stand in a folder that is not there yet; a path that cannot be used is said', async () => {
    const sink = new JsonLinesSink({ file: join(folder, 'a/b/e') });
    await sink.write([sampleOutcome()]);
    await sink.close();
    expect(await linesOf('a/b/e')).toHaveLength(1);
    await expect(new JsonLinesSink({ file: folder }).write([sampleOutcome()])).rejects.toThrow('EISDIR');
  });
});
