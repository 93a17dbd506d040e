import { describe, expect, it } from 'vitest';

import type { Collection } from './family.ts';
import { RoundReport } from './round-report.ts';
import type { Refusal } from './stream-observer.ts';
import type { StreamCollections } from './stream-position.ts';

const collection = { id: 'acme', revision: 2n } as Collection;
const collections: StreamCollections = { ids: () => ['acme'], get: () => collection };
const everything = RoundReport.none.withEverything();

function refusal(typeUrl: string, ...names: readonly string[]): Refusal {
  const faults = names.map((name) => ({ name, error: `no ${name}` }));
  return { typeUrl, closesRound: false, collections: [], faults, nonce: '1', version: '' };
}

/** What a round says at its end, and the report of the next one, in which a type is subscribed. */
function ended(report: RoundReport) {
  const { report: rest, effects } = report.reported(true, collections);
  const [, answer] = effects;
  const said = answer?.kind === 'nacked' ? answer.refusal.faults.map(({ name }) => name) : answer?.kind;
  return { said, next: rest.withEverything() };
}

const gone = () => false;
const stays = () => true;
const without = (name: string) => (each: string) => each !== name;

describe('the report of a round', () => {
  it('says that all was acknowledged', () => {
    expect(ended(everything).said).toBe('acked');
  });

  it('says that it was refused, and so do the rounds after it until a response with the resource is acknowledged', () => {
    const first = ended(everything.withRefusal(refusal('cluster', 'a'), ['a', 'b']));
    expect(first.said).toEqual(['a']);
    const second = ended(first.next.withAcknowledgement('route', gone));
    expect(second.said).toEqual(['a']);
    const third = ended(second.next.withAcknowledgement('cluster', without('b')));
    expect(third.said).toEqual(['a']);
    expect(ended(third.next.withAcknowledgement('cluster', without('a'))).said).toBe('acked');
  });

  it('takes a refusal that names nothing for one of all that was sent', () => {
    const refused = everything.withRefusal(refusal('cluster', ''), ['a', 'b']);
    expect(ended(refused.withAcknowledgement('cluster', without('a'))).said).toEqual(['']);
    expect(ended(refused.withAcknowledgement('cluster', gone)).said).toBe('acked');
  });

  it('names refusals of several types, and each only once', () => {
    const both = everything.withRefusal(refusal('cluster', 'a'), ['a']).withRefusal(refusal('route', 'r'), ['r']);
    expect(ended(both).said).toEqual(['a', 'r']);
    expect(ended(both.withRefusal(refusal('cluster', 'a'), ['a'])).said).toEqual(['a', 'r']);
    expect(ended(both.withAcknowledgement('cluster', stays)).said).toEqual(['a', 'r']);
  });
});
