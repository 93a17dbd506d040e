import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { systemClock } from '@signalbox/runtime/clock';
import { systemRandom } from '@signalbox/runtime/random';
import type { Cli, Screen } from './cli.ts';
import { Failure } from './failure.ts';
import { run } from './program.ts';

const root = join(import.meta.dirname, '..', '..', '..');
// What is loaded from here on; the launcher also has this file and its imports in the cache.
enableCompileCache(join(root, 'node_modules', '.cache', 'compile'));

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(130);
    interruption.abort(new Error('interrupted'));
  });
}
// A reader that has left, such as `head`, is no error.
process.stdout.on('error', () => process.exit(0));

function screen(stream: NodeJS.WriteStream): Screen {
  const isTerminal = stream.isTTY;
  const write = (text: string) => void stream.write(text);
  return { write, isTerminal, colours: isTerminal && !process.env['NO_COLOR'] };
}

/** Most that is taken from standard input, in bytes: more than any file of resources may have. */
const inputLimit = 64 * 1024 * 1024;

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > inputLimit) throw new Failure(`standard input has more than ${inputLimit} bytes: use files`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(question, { signal: interruption.signal });
  } finally {
    terminal.close();
  }
}

const cli: Cli = {
  environment: process.env,
  cwd: process.cwd(),
  root,
  out: screen(process.stdout),
  err: screen(process.stderr),
  clock: systemClock,
  random: systemRandom,
  interrupted: interruption.signal,
  onHangup: (listener) => void process.on('SIGHUP', listener),
  readInput,
  ask,
};

// A connection that is kept alive is no reason to stay.
process.exit(await run(process.argv.slice(2), cli));
