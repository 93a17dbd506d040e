import { once } from 'node:events';
import { createServer } from 'node:net';
import { Failure } from '../failure.ts';
import { busyPort, type PlannedPort } from './plan.ts';

/** Tries every port before anything is started. @throws Failure naming each that is taken, with the setting that moves it. */
export async function checkPorts(ports: readonly PlannedPort[]): Promise<void> {
  const problems = await Promise.all(ports.map(async (port) => ((await isFree(port)) ? [] : [busyPort(port)])));
  const busy = problems.flat();
  if (busy.length > 0) throw new Failure(busy.join('\n  '));
}

async function isFree({ host, port }: PlannedPort): Promise<boolean> {
  if (port === 0) return true;
  const probe = createServer();
  try {
    const listening = once(probe, 'listening');
    probe.listen(port, host);
    await listening;
    const closed = once(probe, 'close');
    probe.close();
    await closed;
    return true;
  } catch {
    return false;
  }
}
