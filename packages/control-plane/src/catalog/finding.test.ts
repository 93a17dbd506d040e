import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  ReportCatalogRequest_Outcome as Outcome,
  ReportCatalogRequestSchema,
} from '@signalbox/proto/signalbox/node/v1/catalog_service_pb.ts';
import { describe, expect, it } from 'vitest';

import { entryChanges } from './catalog.ts';
import { findingOf } from './finding.ts';

const limits = { descriptors: 4, bytes: 4_096 };

function finding(given: MessageInitShape<typeof ReportCatalogRequestSchema>) {
  return findingOf(create(ReportCatalogRequestSchema, { node: 'n1', outcome: Outcome.COMPLETE, ...given }), limits);
}

const tool = (json: string, kind = 'tool') => ({ kind, json: new Uint8Array(Buffer.from(json)) });

describe('what a node reports', () => {
  it('is read anew: names and digests are not the word of the node', () => {
    const found = finding({ era: 'legacy', protocolVersion: '2025-11-25', descriptors: [tool('{"name":"a"}')] });
    expect(found).toMatchObject({
      ...{ node: 'n1', state: 'current', era: 'legacy', protocolVersion: '2025-11-25', problem: '' },
      descriptors: [{ kind: 'tool', name: 'a', digest: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    });
  });

  it.each([
    ['what cannot be read', tool('{'), 'a tool that cannot be read'],
    ['what has no name', tool('{"title":"b"}'), 'a tool without name'],
    ['a second one of a name', tool('{"name":"a","title":"b"}'), 'a second tool "a"'],
    ['a name that no index holds', tool(`{"name":"${'é'.repeat(600)}"}`), 'a name of more than 1024 bytes'],
    ['a name that PostgreSQL has no text for', tool('{"name":"a\\u0000"}'), 'U+0000'],
    ['a kind that nobody knows', tool('{"name":"b"}', 'skill'), 'an entry of kind "skill"'],
  ])('leaves out %s, and says so', (_what, descriptor, problem) => {
    const found = finding({ descriptors: [tool('{"name":"a"}'), descriptor] });
    expect(found).toMatchObject({ state: 'current', problem: expect.stringContaining(problem) });
    expect('descriptors' in found && found.descriptors.map(({ name }) => name)).toEqual(['a']);
  });

  it('is refused whole when it is more than may be kept', () => {
    const many = Array.from({ length: 5 }, (_, at) => tool(`{"name":"t${at}"}`));
    expect(finding({ descriptors: many })).toMatchObject({
      state: 'failed',
      problem: expect.stringContaining('4 entries'),
    });
    const large = tool(`{"name":"a","description":"${'x'.repeat(5_000)}"}`);
    expect(finding({ descriptors: [large] })).toMatchObject({ state: 'failed' });
  });

  it.each([
    [Outcome.NEEDS_AUTH, 'needs-auth'],
    [Outcome.UNREACHABLE, 'unreachable'],
    [Outcome.FAILED, 'failed'],
    [Outcome.OUTCOME_UNSPECIFIED, 'failed'],
    [99 as Outcome, 'failed'],
  ])('is no catalog when the outcome is %s', (outcome, state) => {
    expect(finding({ outcome, problem: 'p', descriptors: [tool('{"name":"a"}')] })).toEqual({
      node: 'n1',
      state,
      problem: 'p',
    });
  });
});

describe('the changes between two sets of descriptors', () => {
  const entry = (name: string, digest: string) => ({ kind: 'tool' as const, name, digest });

  it('are what was added, removed and changed, by kind and name', () => {
    const changes = entryChanges(
      [entry('a', '1'), entry('b', '1'), entry('c', '1')],
      [entry('d', '1'), entry('b', '2'), entry('a', '1')],
    );
    expect(changes.map(({ name, before, after }) => [name, before?.digest, after?.digest])).toEqual([
      ['b', '1', '2'],
      ['c', '1', undefined],
      ['d', undefined, '1'],
    ]);
  });
});
