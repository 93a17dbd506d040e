import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  NodePropagation_State as State,
  Propagation_Outcome as Outcome,
  PropagationSchema,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { describe, expect, it } from 'vitest';

import { style } from '../output/style.ts';
import { renderPropagation } from './propagation.ts';

function rendered(given: MessageInitShape<typeof PropagationSchema>): string {
  return renderPropagation(create(PropagationSchema, { scope: 'acme', revision: 7n, ...given }), style(false));
}

describe('renderPropagation', () => {
  it('sums up and shows each node', () => {
    const text = rendered({
      outcome: Outcome.REJECTED,
      counts: { connected: 2, applied: 1, refused: 1 },
      latency: { count: 1, p50Ms: 4.21, p99Ms: 12_345 },
      nodes: [
        {
          ...{ node: 'b', state: State.REFUSED, appliedRevision: 6n, replica: 'two' },
          refusals: [{ resource: 'chat', type: 'Route', message: 'too many rules' }],
        },
        { node: 'a', state: State.APPLIED, appliedRevision: 7n, appliedAfterMs: 4.21, replica: 'one' },
      ],
    });
    expect(text).toContain(
      'rejected: 1 of 2 connected nodes run it, 1 refused it; commit to applied p50 4.2 ms, p99 12.3 s\n',
    );
    expect(text).toMatch(/^b +refused +6 +- +two$/m);
    expect(text).toMatch(/^a +applied +7 +4\.2 ms +one$/m);
    expect(text).toContain('b refused it:\n  chat: too many rules\n');
  });

  it('says what is waited for', () => {
    const text = rendered({
      outcome: Outcome.IN_PROGRESS,
      counts: { connected: 1, pending: 1, leftUnanswered: 1 },
      nodes: [{ node: 'a', state: State.LEFT_UNANSWERED }],
      replicas: [{ replica: 'two', offeredRevision: 6n }],
      incomplete: 'the database is away',
    });
    expect(text).toContain(
      'in progress: 0 of 1 connected nodes run it, 1 left without an answer\nthe database is away\n',
    );
    expect(text).toContain('replica two does not offer it yet\n');
    expect(text).toContain('… and 1 more nodes\n');
  });

  it('says when there is nobody', () => {
    expect(rendered({ outcome: Outcome.COMPLETE, counts: {} })).toContain('complete: no node is connected\n');
  });
});
