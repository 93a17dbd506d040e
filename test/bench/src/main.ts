// npm run bench: what calls, streams and changes of configuration cost, against other gateways, in one run. Writes RESULTS.md.
// Arguments name parts to run (calls, streams, configuration); all of them without one, and only then RESULTS.md is written.
import { writeFileSync } from 'node:fs';

import { startJwtIssuer } from '@signalbox/test-harness';

import { measureCalls } from './calls.ts';
import { measureConfiguration } from './configuration.ts';
import { measureIdleStreams } from './idle-streams.ts';
import { loadGenerator } from './load.ts';
import { describeMachine, limitations } from './machine.ts';
import { renderResults } from './results.ts';
import type { CallCost } from './rounds.ts';
import {
  type Skipped,
  startEnvoy,
  startFederation,
  startNginx,
  startSdkGateway,
  startSignalbox,
  startUpstream,
  type Target,
} from './targets.ts';

const chosen = process.argv.slice(2);
const runs = (part: string) => chosen.length === 0 || chosen.includes(part);
const started = performance.now();
const say = (line: string) => console.log(line);

const issuer = await startJwtIssuer();
const upstream = await startUpstream();
const targets: Target[] = [upstream];
const skipped: Skipped[] = [];
let calls: ReadonlyMap<string, CallCost> = new Map();
try {
  if (runs('calls')) {
    for (const start of [startNginx, startSignalbox, startFederation, startEnvoy, startSdkGateway]) {
      const target = await start(upstream.url, issuer);
      if ('skipped' in target) skipped.push(target);
      else targets.push(target);
    }
    for (const { name, skipped: why } of skipped) say(`SKIPPED ${name}: ${why}`);
    calls = await measureCalls(targets, await issuer.token('bench', { expiresInSeconds: 3_600 }), say);
    for (const target of targets.splice(1)) {
      await target.process.stop();
      targets.push(target);
    }
  }
  const idleStreams = runs('streams') ? await measureIdleStreams(upstream.url, issuer) : undefined;
  if (idleStreams) say(`idle stream: ${(idleStreams.residentBytesPerStream / 1_000).toFixed(1)} KB`);
  const configuration = runs('configuration') ? await measureConfiguration() : undefined;
  if (configuration) say(JSON.stringify(configuration));
  const text = renderResults({
    machine: describeMachine(),
    seconds: (performance.now() - started) / 1_000,
    load: loadGenerator,
    targets,
    skipped,
    limitations: limitations(),
    calls,
    idleStreams,
    propagation: configuration?.propagation,
    swap: configuration?.swap,
  });
  if (chosen.length === 0) writeFileSync(new URL('../RESULTS.md', import.meta.url), text);
  say(text);
} finally {
  await upstream.process.stop();
  await issuer.stop();
}
process.exit();
