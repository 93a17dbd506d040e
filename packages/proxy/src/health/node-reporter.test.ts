import { create } from '@bufbuild/protobuf';
import {
  type ReportHealthRequest,
  ReportHealthResponseSchema,
} from '@signalbox/proto/signalbox/node/v1/node_health_service_pb.ts';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { NodeReporter } from './node-reporter.ts';
import type { MemberReport } from '../federation/member-health.ts';
import { OutcomeCounter } from './outcome-counts.ts';

function reporting() {
  const clock = new ManualClock(0);
  const counter = new OutcomeCounter({ record: () => {}, close: async () => {} }, 10);
  const sent: ReportHealthRequest[] = [];
  const members: MemberReport[] = [];
  const answers: (readonly string[] | Error)[] = [];
  const reporter = new NodeReporter({
    ...{ counter, clock, node: 'n1', gateway: 'edge', intervalMs: 10_000, maxMembers: 2, members: () => members },
    ...{ random: new SeededRandom(1), logger: new MemoryLogger(), metrics: new Metrics() },
    send: async (request) => {
      sent.push(request);
      const tenants = answers.shift() ?? [];
      if (tenants instanceof Error) throw tenants;
      return create(ReportHealthResponseSchema, {
        tenants: [...tenants],
        intervalMs: tenants.length > 0 ? 1_000 : 10_000,
      });
    },
  });
  const request = (tenant: string) =>
    counter.record({
      tenant,
      revision: 7,
      decision: 'deny',
      error: '',
      status: 200,
      method: 'x',
      durationMs: 1,
    } as never);
  const told = () => sent.map(({ tenants }) => tenants.map(({ tenant, denials }) => `${tenant} ${denials}`));
  return { clock, sent, answers, reporter, request, told, members };
}

describe('the report of a node', () => {
  it('names only tenants that were asked for, and comes more often then', async () => {
    const { clock, sent, answers, reporter, request, told } = reporting();
    answers.push(['acme'], ['acme'], []);
    request('acme');
    request('globex');
    reporter.start();
    await clock.advance(11_000);
    expect(sent[0]).toMatchObject({ node: 'n1', gateway: 'edge', tenants: [] });
    await clock.advance(1_100);
    request('acme');
    await clock.advance(1_100);
    expect(told()).toEqual([[], ['acme 1'], ['acme 1']]);
    await clock.advance(8_000);
    expect(sent).toHaveLength(3);
    await reporter.stop();
    expect(clock.pending).toBe(0);
  });

  it('comes soon when a member has changed, and names those first that do worst', async () => {
    const { clock, sent, reporter, members } = reporting();
    reporter.start();
    const at = { tenant: 'acme', failures: 0, since: 5 };
    members.push({ ...at, backend: 'well', condition: 'reachable' }, { ...at, backend: 'bad', condition: 'open' });
    members.push({ ...at, backend: 'held', condition: 'quarantined' });
    await clock.advance(100);
    for (let i = 0; i < 3; i += 1) reporter.soon();
    await clock.advance(1);
    await clock.advance(500);
    expect(sent.map((one) => [one.members.map(({ backend }) => backend), one.membersLeftOut])).toEqual([
      [['held', 'bad'], 1],
    ]);
    await reporter.stop();
  });

  it('is made again with what did not arrive', async () => {
    const { clock, answers, reporter, request, told } = reporting();
    answers.push(['acme'], new Error('gone'), ['acme']);
    reporter.start();
    await clock.advance(11_000);
    request('acme');
    await clock.advance(1_100);
    request('acme');
    await clock.advance(11_000);
    expect(told().slice(1, 3)).toEqual([['acme 1'], ['acme 2']]);
    await reporter.stop();
  });
});
