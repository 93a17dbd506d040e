import { describe, expect, it } from 'vitest';
import { busyPort, type PlanInput, planStack } from './plan.ts';

const loopback = (port: number) => ({ host: '127.0.0.1', port });
const input: PlanInput = {
  demo: true,
  externalDatabase: false,
  api: loopback(7070),
  discovery: loopback(7071),
  proxyAdmin: loopback(8090),
  gateway: loopback(8080),
  everythingPort: 7081,
  railwayPort: 7082,
};

describe('planStack', () => {
  it('starts everything, the configuration last', () => {
    const { parts, ports } = planStack(input);
    expect(parts).toEqual(['database', 'everything', 'railway', 'control plane', 'proxy', 'configuration']);
    expect(ports.map(({ port }) => port)).toEqual([8080, 7070, 7071, 8090, 7081, 7082]);
  });

  it('leaves out the demo and its ports', () => {
    const { parts, ports } = planStack({ ...input, demo: false });
    expect(parts).toEqual(['database', 'control plane', 'proxy']);
    expect(ports.map(({ port }) => port)).toEqual([8080, 7070, 7071, 8090]);
  });

  it('starts no database when one is given', () => {
    expect(planStack({ ...input, externalDatabase: true }).parts).not.toContain('database');
  });

  it('refuses two parts on one port and names both settings', () => {
    expect(() => planStack({ ...input, gateway: loopback(7070) })).toThrow(/--port.*SIGNALBOX_API_LISTEN/);
  });

  it('lets several parts leave the port to the system', () => {
    expect(() => planStack({ ...input, api: loopback(0), discovery: loopback(0) })).not.toThrow();
  });

  it('names the setting of a port that is in use', () => {
    const [gateway] = planStack(input).ports;
    expect(gateway && busyPort(gateway)).toMatch(/port 8080 on 127\.0\.0\.1.*in use.*--port/);
  });
});
