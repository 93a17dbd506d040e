import { parseResourceFile } from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import { run } from '../program.ts';
import { memoryCli } from '../testing/memory-cli.ts';

const weather = {
  ...{ name: 'com.example/My_Weather', description: 'The weather', version: '1.2.3' },
  remotes: [
    { type: 'sse', url: 'https://weather.example.com/sse' },
    { type: 'streamable-http', url: 'https://weather.example.com/mcp' },
  ],
};

async function imported(server: unknown, ...more: readonly string[]) {
  const cli = memoryCli({
    readInput: () => Promise.resolve(typeof server === 'string' ? server : JSON.stringify(server)),
  });
  const status = await run(['import', '-', '-t', 'acme', ...more], cli);
  return { status, ...cli.printed };
}

describe('import', () => {
  it('prints a Backend, a VirtualServer and a Route that apply takes', async () => {
    const { status, out, err } = await imported(weather);
    expect([status, err]).toEqual([0, 'note: nobody may call it before a Policy says so\n']);
    const { documents, problems } = parseResourceFile(out, { file: 'printed', variables: () => undefined });
    expect(problems).toEqual([]);
    expect(documents).toMatchObject([
      {
        kind: 'Backend',
        tenant: 'acme',
        name: 'my-weather',
        spec: { mcp: { url: 'https://weather.example.com/mcp' } },
      },
      { kind: 'VirtualServer', name: 'my-weather', spec: { members: [{ backend: 'my-weather' }] } },
      { kind: 'Route', spec: { gateway: 'default', match: { path: '/acme/my-weather' } } },
    ]);
  });

  it('takes a remote of HTTP+SSE where there is no newer one, and says so in the Backend', async () => {
    const { status, out } = await imported({ ...weather, remotes: weather.remotes.slice(0, 1) }, '-o', 'json');
    expect(status).toBe(0);
    expect(out).toContain('"transport": "HTTP_SSE"');
    expect(out).toContain('https://weather.example.com/sse');
  });

  it('takes the answer of a registry, and names and places of one’s own', async () => {
    const { out } = await imported(
      { server: weather, _meta: {} },
      '--name',
      'w',
      '--gateway',
      'edge',
      '--path',
      '/acme/x',
      '-o',
      'json',
    );
    expect(JSON.parse(out)).toMatchObject([
      { metadata: { name: 'w' } },
      { spec: { members: [{ backend: 'w' }] } },
      { spec: { gateway: 'edge', match: { path: '/acme/x' } } },
    ]);
  });

  it('fills the variables of the url', async () => {
    const variables = { region: { choices: ['eu', 'us'] }, stage: { default: 'live' } };
    const server = {
      ...weather,
      remotes: [{ type: 'streamable-http', url: 'https://{region}.example.com/{stage}/mcp', variables }],
    };
    expect((await imported(server, '--var', 'region=eu')).out).toContain('https://eu.example.com/live/mcp');
    expect(await imported(server)).toMatchObject({ status: 1, err: expect.stringContaining('add --var region=VALUE') });
    expect((await imported(server, '--var', 'region=mars')).err).toContain('{region} must be one of eu, us');
    expect((await imported(server, '--var', 'region')).status).toBe(2);
  });

  it('says that optional headers are not sent', async () => {
    const headers = [{ name: 'X-Region' }];
    const { status, err } = await imported({ ...weather, remotes: [{ ...weather.remotes[1], headers }] });
    expect([status, err]).toEqual([
      0,
      expect.stringContaining('the header X-Region that the server takes is not sent'),
    ]);
  });

  it.each([
    ['what is no JSON', '{', 'is not JSON'],
    ['what is no server', '[]', 'is not a server.json'],
    ['a server without name', { ...weather, name: 'weather' }, 'name must be <namespace>/<name>'],
    [
      'a package',
      { ...weather, remotes: [], packages: [{ registryType: 'npm', identifier: '@example/weather' }] },
      'a package (npm @example/weather)',
    ],
    ['nothing', { ...weather, remotes: undefined }, 'it has no remotes'],
    [
      'a server that needs a header',
      { ...weather, remotes: [{ ...weather.remotes[1], headers: [{ name: 'X-Key', isRequired: true }] }] },
      'needs the header X-Key',
    ],
    [
      'a url that is none',
      { ...weather, remotes: [{ type: 'streamable-http', url: 'file:///x' }] },
      'is not an http or https URL',
    ],
    [
      'a url that would take a variable of the reader',
      { ...weather, remotes: [{ type: 'streamable-http', url: 'https://example.com/${env:TOKEN}/mcp' }] },
      'would stand for a variable of yours',
    ],
    [
      'a url with a password',
      { ...weather, remotes: [{ type: 'streamable-http', url: 'https://a:b@example.com/mcp' }] },
      'user name or password',
    ],
  ])('refuses %s, and says why', async (_what, server, reason) => {
    const { status, out, err } = await imported(server);
    expect([status, out]).toEqual([1, '']);
    expect(err).toContain(reason);
  });
});
