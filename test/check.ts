// `npm test`: the tests, and beside them every `check:` script of package.json, at low priority: in what the tests leave of
// the machine. Vitest's own summary comes last; the exit status is 1 if anything failed. Arguments are files to test.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { delimiter, join } from 'node:path';

import { root } from './tidy/repository.ts';

const compileCache = join(root, 'node_modules/.cache/compile');
const environment = {
  ...process.env,
  PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
  NODE_COMPILE_CACHE: compileCache,
};

/** Runs the checks one after the other. @returns names of those that failed; what they said has been printed. */
async function runChecks(): Promise<readonly string[]> {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  const failed: string[] = [];
  for (const [name, command] of Object.entries(scripts)) {
    if (!name.startsWith('check:')) continue;
    const startedAt = performance.now();
    const { status, output } = await run(command as string);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    if (status !== 0) failed.push(name);
    console.log(status === 0 ? ` ✓ ${name} (${command}) ${seconds}s` : ` × ${name} (${command}) failed:\n${output}`);
  }
  return failed;
}

function run(command: string): Promise<{ readonly status: number | null; readonly output: string }> {
  const child = spawn('nice', ['-n', '10', 'sh', '-c', command], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ status: null, output: error.message }));
    child.once('close', (status) => resolve({ status, output }));
  });
}

const checking = runChecks();
enableCompileCache(compileCache);
const { DefaultReporter, startVitest } = await import('vitest/node');

/** Holds its summary back until the checks are through. */
class SummaryAfterChecks extends DefaultReporter {
  // oxlint-disable-next-line typescript/no-misused-promises -- vitest waits for its reporters, whatever this type says
  override async onTestRunEnd(...run: Parameters<InstanceType<typeof DefaultReporter>['onTestRunEnd']>): Promise<void> {
    const failed = await checking;
    for (const name of failed) console.log(` × ${name} failed: what it said is above`);
    if (failed.length > 0) process.exitCode = 1;
    super.onTestRunEnd(...run);
  }
}

await startVitest('test', process.argv.slice(2), { run: true, reporters: [new SummaryAfterChecks()] });
