import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultTableLimits } from '@signalbox/config';
import { Metrics, systemClock } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CurrentTable } from '../table/current-table.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { Activation } from './activation.ts';
import { ConfigFileError, ConfigSource, type ConfigSourceState } from './config-source.ts';

let folder = '';
const sources: ConfigSource[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'config-source-'));
});
afterEach(async () => {
  for (const source of sources.splice(0)) await source.stop();
  await rm(folder, { recursive: true });
});

const document = (kind: string, name: string, spec: string) =>
  `apiVersion: signalbox.dev/v1\nkind: ${kind}\nmetadata: { tenant: acme, name: ${name} }\nspec: ${spec}\n---\n`;
const backend = document('Backend', 'weather', '{ mcp: { url: "http://127.0.0.1:3001/mcp" } }');
const server = document('VirtualServer', 'assistant', '{ members: [{ backend: weather }] }');
const policy = document(
  'Policy',
  'keys',
  '{ target: { tenant: {} }, authentication: { apiKeys: [{ subject: robot, key: "${env:ROBOT_KEY}" }] }, authorization: [{ effect: ALLOW, when: "true" }] }',
);
const route = (name: string) =>
  document('Route', name, `{ gateway: default, match: { path: /acme/${name} }, mcp: { virtualServer: assistant } }`);
const sound = backend + server + policy;

function sourceOf(
  path: string,
  variables: Readonly<Record<string, string>> = { ROBOT_KEY: 'secret-key-of-the-robot' },
) {
  const current = new CurrentTable();
  const logger = new MemoryLogger();
  const source = new ConfigSource({
    path,
    gateway: 'default',
    variables: (name) => variables[name],
    activation: new Activation(current, new TimeSlice(systemClock, 2), defaultTableLimits),
    limits: { files: 10, bytes: 100_000 },
    debounceMs: 5,
    pollMs: 50,
    clock: systemClock,
    logger,
    metrics: new Metrics(),
  });
  sources.push(source);
  const served = () => [...(current.value?.tenants.get('acme')?.routes.keys() ?? [])];
  const revision = () => current.value?.tenants.get('acme')?.revision;
  return { source, current, logger, served, revision };
}

/** Puts a new file in the place of another, as editors do. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

/** The state after the files have been read `reads` times with a new content. */
async function stateAfter(source: ConfigSource, reads: number): Promise<ConfigSourceState> {
  for await (const state of source.state.watch(new AbortController().signal)) if (state.reads >= reads) return state;
  throw new Error(`the files were not read ${reads} times`);
}

describe('configuration from files', () => {
  it('is served from one file, without what an operator would declare', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, sound + route('assistant'));
    const { source, served, current } = sourceOf(path);
    await source.start();
    expect(served()).toEqual(['assistant']);
    expect(current.value?.operator?.gateways.get('default')?.listeners.map(({ port }) => port)).toEqual([8080]);
  });

  it('is served from a folder as one', async () => {
    await mkdir(join(folder, 'routes'));
    await writeFile(join(folder, 'base.yaml'), sound);
    await writeFile(join(folder, 'routes', 'a.yml'), route('a'));
    await writeFile(join(folder, 'routes', 'b.yaml'), route('b'));
    await writeFile(join(folder, 'README.md'), 'not configuration');
    await writeFile(join(folder, '.hidden.yaml'), 'not: configuration');
    const { source, served } = sourceOf(folder);
    await source.start();
    expect(served().sort((a, b) => a.localeCompare(b))).toEqual(['a', 'b']);
  });

  it('keeps a declared gateway and tenant as they are', async () => {
    const gateway =
      'apiVersion: signalbox.dev/v1\nkind: Gateway\nmetadata: { name: default }\nspec: { listeners: [{ name: http, port: 9191 }] }\n---\n';
    const tenant =
      'apiVersion: signalbox.dev/v1\nkind: Tenant\nmetadata: { name: acme }\nspec: { pathPrefixes: [/tools] }\n---\n';
    await writeFile(join(folder, 'config.yaml'), gateway + tenant + sound + route('a').replace('/acme/a', '/tools/a'));
    const { source, current } = sourceOf(folder);
    await source.start();
    expect(current.value?.operator?.gateways.get('default')?.listeners.map(({ port }) => port)).toEqual([9191]);
    expect(current.value?.operator?.tenants.get('acme')?.pathPrefixes).toEqual(['/tools']);
  });

  it.each<[string, string, string]>([
    ['syntax', `${sound}kind: [`, 'config.yaml:'],
    ['an unknown field', sound + route('a').replace('gateway:', 'gatway:'), 'gatway'],
    ['a dangling reference', backend + policy + route('a'), 'assistant'],
    ['a variable that is not set', sound.replace('ROBOT_KEY', 'OTHER_KEY') + route('a'), 'OTHER_KEY'],
  ])('is refused at the start for %s, saying where', async (_case, text, expected) => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, text);
    const { source, current } = sourceOf(path);
    const error = await source.start().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigFileError);
    expect((error as ConfigFileError).problems.join('\n')).toContain(expected);
    expect((error as ConfigFileError).problems.join('\n')).toMatch(/config\.yaml:\d+: /);
    expect(current.value).toBeUndefined();
  });

  it('is refused at the start when there is no file', async () => {
    const { source } = sourceOf(join(folder, 'missing.yaml'));
    await expect(source.start()).rejects.toThrow(/missing\.yaml/);
  });

  it('is read again when it changes, with a revision for each new content', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, sound + route('a'));
    const { source, served, revision } = sourceOf(path);
    await source.start();
    await replace(path, sound + route('a') + route('b'));
    await stateAfter(source, 2);
    expect([served(), revision()]).toEqual([['a', 'b'], 2n]);
    await replace(path, sound + route('c'));
    await stateAfter(source, 3);
    expect([served(), revision()]).toEqual([['c'], 3n]);
  });

  it('stays as it was after a bad edit, says what is wrong, and follows the next good one', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, sound + route('a'));
    const { source, served, revision, logger } = sourceOf(path);
    await source.start();
    await replace(
      path,
      `${sound + route('a')}${route('b').replace('virtualServer: assistant', 'virtualServer: asistant')}`,
    );
    const bad = await stateAfter(source, 2);
    expect(bad.problems).toHaveLength(1);
    expect(bad.problems[0]).toMatch(/config\.yaml:\d+: .*asistant/);
    expect([served(), revision()]).toEqual([['a'], 1n]);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    await replace(path, sound + route('a') + route('b'));
    expect((await stateAfter(source, 3)).problems).toEqual([]);
    expect([served(), revision()]).toEqual([['a', 'b'], 2n]);
  });

  it('stays as it was while the file is empty, as it is for a moment when it is written in place', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, sound + route('a'));
    const { source, served } = sourceOf(path);
    await source.start();
    await replace(path, '');
    expect((await stateAfter(source, 2)).problems).toHaveLength(1);
    expect(served()).toEqual(['a']);
  });

  it('drops a tenant that is no longer in the files', async () => {
    await writeFile(join(folder, 'acme.yaml'), sound + route('a'));
    await writeFile(join(folder, 'beta.yaml'), (backend + server + route('x')).replaceAll('acme', 'beta'));
    const { source, current } = sourceOf(folder);
    await source.start();
    expect([...(current.value?.tenants.keys() ?? [])]).toEqual(['acme', 'beta']);
    await rm(join(folder, 'beta.yaml'));
    await stateAfter(source, 2);
    expect([...(current.value?.tenants.keys() ?? [])]).toEqual(['acme']);
  });

  it('does not show what variables hold', async () => {
    const path = join(folder, 'config.yaml');
    await writeFile(path, sound + route('a'));
    const { source, logger } = sourceOf(path);
    await source.start();
    await replace(path, sound + route('a') + route('a'));
    const { problems } = await stateAfter(source, 2);
    expect(problems.length).toBeGreaterThan(0);
    expect(JSON.stringify([problems, logger.lines])).not.toContain('secret-key-of-the-robot');
  });
});
