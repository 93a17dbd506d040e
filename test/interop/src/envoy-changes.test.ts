import { mcpRoute, type ModernMcpServer, RawMcpClient, startModernMcpServer } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startTwoDataPlanes, type TwoDataPlanes } from './two-data-planes.ts';

const binary = inject('envoy');
const changes = 200;

describe.skipIf(binary === '')('a stock Envoy under changing configuration', () => {
  let upstream: ModernMcpServer;
  let other: ModernMcpServer;
  let planes: TwoDataPlanes;

  /** Every change has another rule for the called route, every second another backend, some another route. */
  const resources = (n: number) => [
    ...mcpRoute({
      name: 'steady',
      url: (n % 2 === 0 ? upstream : other).url,
      anonymous: true,
      rules: [`tool.name == "never-${n}"`, 'tool.name == "read"'],
    }),
    ...(n % 10 < 5 ? mcpRoute({ name: 'passing', url: other.url, anonymous: true, rules: ['true'] }) : []),
  ];

  beforeAll(async () => {
    [upstream, other] = [await startModernMcpServer(), await startModernMcpServer()];
    planes = await startTwoDataPlanes(binary, resources(0));
  });

  afterAll(async () => {
    await planes?.stop();
    await upstream?.stop();
    await other?.stop();
  });

  it(`loses no call during ${changes} changes`, async () => {
    const statuses = new Map<number, number>();
    let changing = true;
    const client = new RawMcpClient({ url: planes.envoys('steady') });
    const caller = async () => {
      while (changing) {
        const { status } = await client.modern('tools/call', { name: 'read' });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const callers = Promise.all(Array.from({ length: 4 }, caller));
    try {
      for (let n = 1; n <= changes; n += 1) await planes.change(resources(n));
    } finally {
      changing = false;
      await callers;
      client.close();
    }
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(changes);
    expect(planes.discovery.refusals).toEqual([]);
    expect(upstream.requests.of('tools/call').length).toBeGreaterThan(0);
    expect(other.requests.of('tools/call').length).toBeGreaterThan(0);
  });

  it('applies what it was sent last', async () => {
    const url = planes.envoys('steady');
    await planes.change(resources(changes + 1));
    const call = async (name: string) => (await new RawMcpClient({ url }).modern('tools/call', { name })).status;
    expect(await call(`never-${changes + 1}`)).toBe(200);
    expect(await call(`never-${changes}`)).toBe(403);
  });
});
