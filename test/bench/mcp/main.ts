// npm run bench:mcp: what MCP costs the gateway, across eras and members, against other gateways, in one run. Writes RESULTS.md.
// Arguments name parts to run (calls, sessions); both without one, and only then RESULTS.md is written.
import { writeFileSync } from 'node:fs';

import { startJwtIssuer } from '@signalbox/test-harness';

import { measureIdleStreams } from '../src/idle-streams.ts';
import { loadGenerator } from '../src/load.ts';
import { describeMachine, limitations, openFileLimit } from '../src/machine.ts';
import { type Costs, measureParts } from './measure.ts';
import { renderResults } from './results.ts';
import { startScene } from './scene.ts';

const sessions = 10_000;
/** Each stream costs the proxy two sockets; what it has for warming up and for itself comes on top. */
const streams = Math.min(sessions, Math.floor((openFileLimit() - 3_000) / 2));
const chosen = process.argv.slice(2);
const runs = (part: string) => chosen.length === 0 || chosen.includes(part);
const started = performance.now();
const say = (line: string) => console.log(line);

const issuer = await startJwtIssuer();
const scene = await startScene(issuer);
try {
  for (const why of scene.skipped) say(`SKIPPED ${why}`);
  say(`load: ${loadGenerator}`);
  const costs: Costs = runs('calls') ? await measureParts(scene, issuer, say) : new Map();
  const open = runs('sessions')
    ? await measureIdleStreams(scene.legacyUpstream, issuer, { streams, sessions })
    : undefined;
  const text = renderResults({
    machine: describeMachine(),
    seconds: (performance.now() - started) / 1_000,
    load: loadGenerator,
    scene,
    limitations: limitations(),
    costs,
    sessions: open && { ...open, count: sessions },
  });
  if (chosen.length === 0) writeFileSync(new URL('RESULTS.md', import.meta.url), text);
  say(text);
} finally {
  await scene.stop();
  await issuer.stop();
}
process.exit();
