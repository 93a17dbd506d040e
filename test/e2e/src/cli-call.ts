import { systemRandom } from '@signalbox/runtime';
import { memoryCli, run } from 'signalbox/testing';
import { type CliCall, type Finished, root } from './cli-process.ts';

/**
 * Runs a command of the CLI in this process, with the environment that the call names and nothing else: a process costs
 * half a second of both cores. What only a process has (the launcher, standard streams, signals) is asked of one, with
 * `runCli`.
 */
export async function callCli(args: readonly string[], call: CliCall = {}): Promise<Finished> {
  const { cwd = root, environment = {}, input = '' } = call;
  const cli = memoryCli({ cwd, root, environment, random: systemRandom, readInput: () => Promise.resolve(input) });
  const status = await run(args, cli);
  return { status, ...cli.printed };
}
