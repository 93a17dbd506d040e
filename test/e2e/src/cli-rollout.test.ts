import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  type ResourceFile,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { callCli } from './cli-call.ts';

const keys = { alice: 'alice-key' };
let folder: string;
let upstream: LegacyMcpServer;
let system: System;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-cli-'));
  upstream = await startLegacyMcpServer();
  system = await startSystem({
    pgUrl: inject('pgUrl'),
    nodes: 2,
    controlPlane: { SIGNALBOX_ROLLOUT_INTERVAL: '20' },
  });
  const stages = [{ percent: 10, promotion: 'MANUAL' }, { percent: 100 }];
  await system.apply([
    gateway(),
    { ...tenant(), spec: { rollout: { stages } } },
    ...mcpRoute({ name: 'weather', url: upstream.url, keys, rules: ['true'] }),
  ]);
});

afterAll(async () => {
  await system.stop();
  await upstream.stop();
  await rm(folder, { recursive: true, force: true });
});

function cli(...args: string[]) {
  const environment = { SIGNALBOX_URL: system.apiUrl, SIGNALBOX_TOKEN: system.operatorToken };
  return callCli(args, { cwd: folder, environment });
}

async function apply(rule: string, ...more: string[]) {
  const documents: readonly ResourceFile[] = [policy({ name: 'weather', keys, rules: [rule] })];
  await writeFile(join(folder, 'policy.yaml'), yaml(documents));
  return cli('apply', '-f', 'policy.yaml', ...more);
}

// The tests tell one story, in order.
describe('the CLI and revisions in stages', () => {
  it('says that there is no rollout', async () => {
    expect(await cli('rollout', 'list')).toMatchObject({ status: 0, out: expect.stringContaining('no rollout') });
    const shown = await cli('rollout', 'show', '-t', 'acme');
    expect(shown).toMatchObject({ status: 1, err: expect.stringContaining('"acme" had no rollout yet') });
  });

  it('waits until the first nodes run it, says so, and ends well', async () => {
    const applied = await apply('tool.name == "echo"');
    expect(applied).toMatchObject({ status: 0, err: '' });
    expect(applied.out).toMatch(/rolled out in stages: stage 1 of 2, 1 of 1 nodes run it, waits to be promoted/);
  });

  it('lists and shows it, for people and for programs', async () => {
    const listed = await cli('rollout', 'list');
    expect(listed.out).toMatch(/acme +1 → 2 +running +1 of 2 +\d+s ago +operator/);
    const shown = await cli('rollout', 'show', '-t', 'acme');
    expect(shown.out).toMatch(/acme revision 2 after 1, by operator: running \(stages required by the operator\)/);
    expect(shown.out).toMatch(
      /▶ stage 1: 10 % of the nodes, promotion by hand {2}1 of 1 nodes run it, waits to be promoted/,
    );
    expect(shown.out).toMatch(/· stage 2: 100 % of the nodes/);
    expect(shown.out).toMatch(/reached 1 of 2 nodes: node-[01]/);
    const plain = JSON.parse((await cli('rollout', 'show', '-t', 'acme', '-o', 'json')).out) as object;
    expect(plain).toMatchObject({ rollout: { state: 'RUNNING', stage: 1 }, progress: { members: 1, nodes: 2 } });
  });

  it('pauses and resumes it', async () => {
    const paused = await cli('rollout', 'pause', '-t', 'acme', '-m', 'lunch');
    expect(paused).toMatchObject({ status: 0, out: expect.stringMatching(/: paused .*\n {2}lunch/) });
    expect((await cli('rollout', 'resume', '-t', 'acme')).out).toContain(': running');
  });

  it('does nothing to another revision than the one that is named', async () => {
    const wrong = await cli('rollout', 'promote', '-t', 'acme', '--revision', '9');
    expect(wrong).toMatchObject({ status: 1, err: expect.stringContaining('no rollout of revision 9') });
  });

  it('aborts it: a new revision has the content of the one before', async () => {
    const aborted = await cli('rollout', 'abort', '-t', 'acme', '-m', 'customers see 403');
    expect(aborted).toMatchObject({ status: 0, out: expect.stringContaining(': rolled back') });
    await system.settled();
    expect((await cli('revisions', '-t', 'acme', '-n', '1')).out).toMatch(/3 .* rollback .* customers see 403/);
    const again = await cli('rollout', 'abort', '-t', 'acme');
    expect(again).toMatchObject({ status: 1, err: expect.stringContaining('that of revision 2 is rolled-back') });
  });

  it('promotes it to all nodes, and watches it to its end', async () => {
    await apply('tool.name == "add"', '--no-wait');
    const watching = cli('rollout', 'show', '-t', 'acme', '--watch');
    expect(await cli('rollout', 'promote', '-t', 'acme', '--all')).toMatchObject({ status: 0 });
    expect(await watching).toMatchObject({ status: 0, out: expect.stringContaining(': completed') });
    const events = (await cli('rollout', 'show', '-t', 'acme')).out;
    expect(events).toMatch(/promoted +stage \d by operator: to all nodes/);
    expect((await cli('rollout', 'list', '--all')).out).toMatch(/completed[\s\S]*rolled back/);
  });

  it('completes its commands', async () => {
    expect((await cli('completion', 'bash')).out).toMatch(/rollout.*promote|promote/);
  });
});
