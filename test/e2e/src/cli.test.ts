import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { callCli } from './cli-call.ts';
import { type CliCall, runCli } from './cli-process.ts';

const keys = { alice: 'alice-key' };
let folder: string;
let upstream: LegacyMcpServer;
let system: System;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-cli-'));
  upstream = await startLegacyMcpServer();
  system = await startSystem({ pgUrl: inject('pgUrl') });
  await write('operator.yaml', [gateway(), tenant()]);
  await write('weather.yaml', weather(['true']));
});

afterAll(async () => {
  await system.stop();
  await upstream.stop();
  await rm(folder, { recursive: true, force: true });
});

const weather = (rules: readonly string[]) => mcpRoute({ name: 'weather', url: upstream.url, keys, rules });

function write(name: string, documents: Parameters<typeof yaml>[0]): Promise<void> {
  return writeFile(join(folder, name), yaml(documents));
}

/** As operator, in the folder with the files. */
function asOperator(call: CliCall): CliCall {
  const environment = { SIGNALBOX_URL: system.apiUrl, SIGNALBOX_TOKEN: system.operatorToken, ...call.environment };
  return { cwd: folder, ...call, environment };
}

function cli(args: readonly string[], call: CliCall = {}) {
  return callCli(args, asOperator(call));
}

/** The same by the launcher, in a process. */
function launched(args: readonly string[], call: CliCall = {}) {
  return runCli(args, asOperator(call));
}

const tenantIs = ['--tenant', 'acme'];

// The tests tell one story, in order.
describe('the CLI', () => {
  it('shows what apply would change, with the exit status of diff', async () => {
    const changes = await cli(['diff', '-f', '.']);
    expect(changes).toMatchObject({ status: 1, out: expect.stringContaining('+ Gateway operator/default') });
    expect(changes.out).toContain('+ Route acme/weather');
    const dry = await cli(['apply', '--dry-run', '-f', '.']);
    expect(dry).toMatchObject({ status: 0, out: expect.stringContaining('acme: 4 created, dry run on revision 0') });
    expect(await system.revision('operator')).toBe(0n);
  });

  it('applies a folder, operator first, prints the diff and then every node that applied it', async () => {
    const applied = await cli(['apply', '-f', '.', '-m', 'hello']);
    expect(applied).toMatchObject({ status: 0, err: '' });
    expect(applied.out).toMatch(/operator: 2 created, revision 1\n/);
    expect(applied.out).toMatch(/acme: 4 created, revision 1\n/);
    expect(applied.out).toContain('+ Route acme/weather');
    expect(applied.out.match(/✔ .* applied/g)).toHaveLength(2);
  });

  it('says that there is nothing to do', async () => {
    expect(await cli(['diff', '-f', '.'])).toMatchObject({ status: 0 });
    expect(await cli(['apply', '-f', '.'])).toMatchObject({
      status: 0,
      out: expect.stringContaining('acme: no changes, revision 1'),
    });
  });

  it('refuses what cannot be served with file, line and field, and changes nothing', async () => {
    const documents = yaml(weather(['tool.name ==']));
    const refused = await cli(['apply', '-f', '-'], { input: documents });
    const line = documents.split('\n').findIndex((text) => text.includes('tool.name ==')) + 1;
    expect(refused.status).toBe(1);
    expect(refused.err).toContain(`standard input:${line} spec.authorization[0].when: `);
    expect(await cli(['diff', '-f', '-'], { input: documents })).toMatchObject({ status: 2 });
    expect(await system.revision('acme')).toBe(1n);
  });

  it('maps a problem that only the control plane can see to the local file', async () => {
    const [, , route] = weather(['true']);
    await write('dangling/route.yaml'.replace('/', '-'), [
      { ...route, spec: { ...(route?.['spec'] as object), gateway: 'dmz' } },
    ]);
    const refused = await cli(['apply', '-f', 'dangling-route.yaml']);
    await rm(join(folder, 'dangling-route.yaml'));
    expect(refused).toMatchObject({
      status: 1,
      err: expect.stringMatching(/dangling-route\.yaml:\d+ spec\.gateway: .*dmz/),
    });
  });

  it('tries without committing', async () => {
    const dry = await cli(['apply', '-f', '-', '--dry-run'], {
      input: yaml([policy({ name: 'weather', keys, rules: [] })]),
    });
    expect(dry).toMatchObject({ status: 0, out: expect.stringContaining('dry run on revision 1') });
    expect(await system.revision('acme')).toBe(1n);
  });

  it('guards a write with the revision that it was made for', async () => {
    const stale = await cli(['apply', '-f', 'weather.yaml', '--if-match', '7']);
    expect(stale).toMatchObject({ status: 1, err: expect.stringContaining('signalbox revisions') });
  });

  it('explains which rule decides, and lists what a principal sees', async () => {
    const call = ['explain', '--route', 'acme/weather', '--tool', 'echo', '--subject', 'alice'];
    expect(await cli(call)).toMatchObject({
      status: 0,
      out: expect.stringMatching(/echo is ALLOWED by policy\/weather\/0/),
    });
    const environment = { SIGNALBOX_GATEWAY_URL: new URL(system.endpoint('acme', 'weather')).origin };
    const asAlice = await cli(['tools', '--route', 'acme/weather', '--token', 'alice-key', '-o', 'json'], {
      environment,
    });
    expect(asAlice).toMatchObject({ status: 0, err: '' });
    expect((JSON.parse(asAlice.out) as { tools: unknown[] }).tools.length).toBeGreaterThan(0);
    const asNobody = await cli(['tools', '--route', 'acme/weather', '--token', 'wrong'], { environment });
    expect(asNobody).toMatchObject({ status: 1, err: expect.stringContaining('does not accept this credential') });
  });

  it('returns to an earlier revision', async () => {
    await cli(['apply', '-f', '-'], { input: yaml([policy({ name: 'weather', keys, rules: [] })]) });
    const back = await cli(['rollback', '--to', '1', ...tenantIs]);
    expect(back).toMatchObject({ status: 0, out: expect.stringContaining('acme: 1 changed, revision 3') });
    const revisions = await cli(['revisions', ...tenantIs, '-o', 'json']);
    expect((JSON.parse(revisions.out) as { cause: string }[]).map(({ cause }) => cause)).toEqual([
      'rollback',
      'apply',
      'apply',
    ]);
  });

  it('takes back the newest revision, and says so when there is none before it', async () => {
    const newest = async () =>
      (JSON.parse((await cli(['revisions', ...tenantIs, '-n', '1', '-o', 'json'])).out) as { revision: string }[])[0];
    const before = Number((await newest())?.revision);
    const back = await cli(['rollback', '--to', 'previous', ...tenantIs]);
    expect(back).toMatchObject({ status: 0, out: expect.stringContaining(`revision ${before + 1}`) });
    expect(await cli(['rollback', '--to', 'previous', '-t', 'nobody'])).toMatchObject({ status: 1 });
    await cli(['rollback', '--to', 'previous', ...tenantIs]);
  });

  it('prints YAML that apply takes back unchanged', async () => {
    const all = await cli(['get', '--all', '-o', 'yaml']);
    expect(await cli(['diff', '--prune', '-f', '-'], { input: all.out })).toMatchObject({ status: 0 });
  });

  it('reads, prints and ends as programs do: standard streams, and a status that scripts can ask', async () => {
    const all = await launched(['get', '--all', '-o', 'yaml']);
    expect(all).toEqual(await cli(['get', '--all', '-o', 'yaml']));
    expect(await launched(['diff', '--prune', '-f', '-'], { input: all.out })).toMatchObject({ status: 0, err: '' });
    const input = yaml([policy({ name: 'weather', keys, rules: [] })]);
    const changed = await launched(['diff', '-f', '-'], { input });
    expect(changed).toMatchObject({ status: 1, out: expect.stringContaining('~ Policy acme/weather') });
    expect(await launched(['nodse'])).toMatchObject({ status: 2, out: '', err: expect.stringContaining('nodes') });
  });

  it('deletes with --prune only when told twice', async () => {
    const kept = weather(['true']).filter(({ kind }) => kind === 'Backend');
    const refused = await cli(['apply', '-f', '-', '--prune'], { input: yaml(kept) });
    expect(refused).toMatchObject({ status: 1, err: expect.stringMatching(/deletes .*Route acme\/weather.*--yes/) });
    const pruned = await cli(['apply', '-f', '-', '--prune', '--yes'], { input: yaml(kept) });
    expect(pruned).toMatchObject({ status: 0, out: expect.stringContaining('3 deleted') });
    await cli(['rollback', '--to', '1', ...tenantIs]);
  });

  it('shows how far a revision got, and waits for it again when told to', async () => {
    const shown = await cli(['propagation', '1', ...tenantIs]);
    expect(shown).toMatchObject({ status: 0 });
    expect(shown.out).toMatch(/^acme revision 1, committed .*\ncomplete: 1 of 1 connected nodes run it/);
    expect(shown.out).toMatch(/^node-0 +applied/m);
    const json = JSON.parse((await cli(['propagation', '--wait', ...tenantIs, '-o', 'json'])).out) as object;
    expect(json).toMatchObject({ verdict: 'applied', propagation: { outcome: 'COMPLETE', counts: { applied: 1 } } });
    expect((await cli(['revisions', '1', ...tenantIs])).out).toContain('complete: 1 of 1 connected nodes run it');
    const again = await cli(['apply', '-f', 'weather.yaml', '--wait', '-o', 'json']);
    expect(JSON.parse(again.out)).toMatchObject([{ committed: false, verdict: 'applied' }]);
    expect(await cli(['propagation', '99', ...tenantIs])).toMatchObject({ status: 1 });
  });

  it('fails when a node refuses, and says why, as nodes does', async () => {
    const strict = await system.startNode({ SIGNALBOX_PROXY_MAX_RULES_PER_ROUTE: '1' }, 'strict');
    await until('the node to connect', async () =>
      (await system.nodes()).some(({ id, connected }) => id === 'strict' && connected) ? true : undefined,
    );
    const refused = await cli(['apply', '-f', '-'], { input: yaml(weather(['true', 'true', 'true'])) });
    expect(refused).toMatchObject({ status: 1, err: expect.stringContaining('signalbox nodes') });
    expect(refused.out).toMatch(/✘ strict refused/);
    const nodes = await cli(['nodes']);
    expect(nodes).toMatchObject({
      status: 0,
      out: expect.stringMatching(/strict refused revision \d+ of acme .*\n.*rules/),
    });
    await strict.stop();
  });

  it('puts a backend into quarantine, shows why, and releases it', async () => {
    const add = await cli(['quarantine', 'add', 'weather', '-r', 'its tools changed', ...tenantIs]);
    expect(add).toMatchObject({ status: 0, out: expect.stringContaining('quarantine-weather') });
    const list = await cli(['quarantine', 'list', ...tenantIs]);
    expect(list.out).toMatch(/weather +quarantine-weather +\d+ +its tools changed/);
    const explained = await cli(['explain', '--route', 'acme/weather', '--tool', 'echo', '--subject', 'alice']);
    expect(explained.out).toMatch(/policy\/quarantine-weather\/quarantine/);
    expect(await cli(['quarantine', 'release', 'weather', ...tenantIs])).toMatchObject({ status: 0 });
    const again = await cli(['quarantine', 'release', 'weather', ...tenantIs]);
    expect(again).toMatchObject({ status: 1, err: expect.stringContaining('is not in quarantine') });
    expect((await cli(['quarantine', 'list', ...tenantIs])).out).toBe('no backend of acme is in quarantine\n');
  });

  it('revokes tokens, shows which, and takes that back', async () => {
    const none = await cli(['revoke', 'add', ...tenantIs]);
    expect(none).toMatchObject({ status: 2, err: expect.stringContaining('--token-id') });
    const args = ['--subject', 'alice', '--issued-before', 'now', '-r', 'lost laptop', ...tenantIs];
    expect(await cli(['revoke', 'add', ...args, '-o', 'json'])).toMatchObject({ status: 0 });
    const list = await cli(['revoke', 'list', ...tenantIs, '-o', 'json']);
    const [known] = JSON.parse(list.out) as { policy: string; revocations: unknown[] }[];
    expect(known?.revocations).toMatchObject([{ subjects: ['alice'], reason: 'lost laptop' }]);
    expect((await cli(['revoke', 'list', ...tenantIs])).out).toMatch(/sub alice +any +\d{4}-.*lost laptop/);
    expect(await cli(['revoke', 'lift', known?.policy ?? '', ...tenantIs])).toMatchObject({ status: 0 });
    expect((await cli(['revoke', 'list', ...tenantIs])).out).toBe('no token is revoked in acme\n');
    expect(await cli(['revoke', 'lift', 'weather', ...tenantIs])).toMatchObject({ status: 1 });
  });

  it('creates tokens that work until they are revoked', async () => {
    const created = await cli(['token', 'create', 'ci', '--role', 'developer', '--tenant', 'acme', '-o', 'json']);
    const { secret, token } = JSON.parse(created.out) as { secret: string; token: { id: string } };
    const environment = { SIGNALBOX_TOKEN: secret };
    expect(await cli(['get', 'routes', ...tenantIs], { environment })).toMatchObject({ status: 0 });
    expect(await cli(['get', 'gateways'], { environment })).toMatchObject({ status: 1 });
    expect(await cli(['token', 'revoke', token.id])).toMatchObject({ status: 0 });
    const after = await until('the revocation to take effect', async () => {
      const answer = await cli(['get', 'routes', ...tenantIs], { environment });
      return answer.status === 1 ? answer : undefined;
    });
    expect(after.err).toContain('SIGNALBOX_TOKEN');
    expect((await cli(['token', 'list'])).out).toMatch(/ci +developer +acme .*revoked/);
    const selector = ['--tenant-selector', 'tier in (gold, silver)'];
    expect(
      await cli(['token', 'create', 'metal', '--role', 'node', '--gateway', 'default', ...selector]),
    ).toMatchObject({
      status: 0,
    });
    expect((await cli(['token', 'list'])).out).toMatch(/metal +node +\{tier in \(gold, silver\)\} +default/);
    expect(await cli(['token', 'create', 'x', '--role', 'auditor', ...selector])).toMatchObject({ status: 2 });
  });
});
