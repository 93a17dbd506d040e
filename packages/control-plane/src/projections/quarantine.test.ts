import type { McpRouteEntry } from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import { enforce as enforceAtAgentgateway } from './agentgateway/rules.ts';
import { membersFilter } from './envoy/members.ts';
import { enforce as enforceAtEnvoy } from './envoy/rules.ts';
import { sampleRoute } from './sample-route.ts';

const prefixed = [
  { backend: 'sample', prefix: 'a' },
  { backend: 'other', prefix: 'b' },
];

describe('a backend in quarantine', () => {
  it('is denied whole by other data planes: no method of the protocol, no stream', () => {
    const route = sampleRoute({ quarantined: true }) as McpRouteEntry;
    expect([...enforceAtEnvoy(route).allow]).toEqual([]);
    expect(enforceAtAgentgateway(route)).toMatchObject({ admit: ['false'], allow: ['false'] });
    expect([...enforceAtEnvoy(sampleRoute({ quarantined: true, protocol: 'http' })).allow]).toEqual([]);
  });

  it('is no member of a virtual server at Envoy, and its names lead nowhere', () => {
    const [before, after] = [false, true].map((quarantined) => {
      const route = sampleRoute({ quarantined, members: prefixed }) as McpRouteEntry;
      const filter = Buffer.from(membersFilter(route)?.value ?? []).toString('latin1');
      return { servers: filter.split('127.0.0.1').length > 1, allow: JSON.stringify([...enforceAtEnvoy(route).allow]) };
    });
    expect([before?.servers, before?.allow.includes('a__'), before?.allow.includes('b__')]).toEqual([true, true, true]);
    expect([after?.servers, after?.allow.includes('a__'), after?.allow.includes('b__')]).toEqual([false, false, true]);
  });
});
