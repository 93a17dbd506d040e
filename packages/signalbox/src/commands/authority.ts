import { mkdir, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { Failure } from '../failure.ts';
import { parseDuration } from '../input/option-values.ts';
import { examples } from '../output/examples.ts';

interface AuthorityOptions {
  readonly out: string;
  readonly ttl: number;
}

const tenYearsMs = 10 * 365 * 86_400_000;

/** `authority`: makes what signs the certificates of nodes. */
export function authorityCommand(cli: Cli): Command {
  return new Command('authority')
    .description('Make an authority that signs the certificates of nodes: ca.crt and ca.key. Nothing is sent.')
    .requiredOption('--out <folder>', 'where to write them; nothing is replaced')
    .option('--ttl <duration>', 'how long it is valid', parseDuration, tenYearsMs)
    .addHelpText(
      'after',
      examples([
        'signalbox authority --out pki',
        'then SIGNALBOX_NODE_CA_CERT=pki/ca.crt SIGNALBOX_NODE_CA_KEY=pki/ca.key',
      ]),
    )
    .action(async ({ out, ttl }: AuthorityOptions) => {
      const { makeAuthority } = await import('@signalbox/certificates');
      const now = cli.clock.now();
      const { certificate, privateKey } = await makeAuthority('signalbox nodes', now, now + ttl);
      const folder = resolve(cli.cwd, out);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeNew(join(folder, 'ca.key'), privateKey, 0o600);
      await writeNew(join(folder, 'ca.crt'), certificate, 0o644);
      cli.out.write(`${join(folder, 'ca.crt')}\n${join(folder, 'ca.key')}\n`);
    });
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode).catch((error: unknown) => {
    throw new Failure(`${path} cannot be made: ${String(error)}`);
  });
  await file.writeFile(text);
  await file.close();
}
