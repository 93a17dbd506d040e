import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Move, NewestStates, SharedChanges } from './newest-states.ts';
import type { StreamInfo } from './stream-observer.ts';
import { MemorySource, sealType } from './testing/memory-source.ts';
import { Simulation } from './testing/simulation.ts';

async function settle({ clock }: Simulation): Promise<void> {
  for (let i = 0; i < 20; i += 1) await clock.advance(100);
}

const twoNodes = () => {
  const world = new Simulation();
  return { world, first: world.node('first'), second: world.node('second') };
};

describe('a collection that streams have in different states', () => {
  it('reaches those that are ahead, and puts no byte on the streams of the others', async () => {
    const { world, first, second } = twoNodes();
    world.source.commit('acme', { leaves: { a: '1' } });
    await settle(world);
    const before = second.node.responses.length;
    world.source.stage('acme', ['first']);
    world.source.commit('acme', { leaves: { a: '2' } });
    await settle(world);
    expect([first.node.active.get('acme'), second.node.active.get('acme')]).toEqual([2n, 1n]);
    expect(second.node.responses).toHaveLength(before);
    world.source.stage('acme', ['first', 'second']);
    await settle(world);
    expect(second.node.active.get('acme')).toBe(2n);
    await world.stop();
  });

  it('moves all that stand at the same state by one change set, so that its bytes are encoded once', () => {
    const source = new MemorySource();
    const states = new NewestStates();
    const move = () => states.set('acme', source.get('acme'), source.staged('acme'));
    source.commit('acme', { leaves: { a: '1' } });
    move();
    source.stage('acme', ['first', 'third']);
    source.commit('acme', { leaves: { a: '2' } });
    const changes = new SharedChanges(new Map([['acme', move() as Move]]));
    const [first, second, third, fourth] = ['first', 'second', 'third', 'fourth'].map((id) =>
      changes.of({ node: { id } } as StreamInfo),
    );
    expect(first).toBe(third);
    expect(second).toBe(fourth);
    expect([first?.changes.get('acme')?.to?.revision, second?.changes.size]).toEqual([2n, 0]);
  });

  it('is the same after a reconnect as before', async () => {
    const { world, first, second } = twoNodes();
    world.source.commit('acme', { leaves: { a: '1' } });
    world.source.stage('acme', ['first']);
    world.source.commit('acme', { leaves: { a: '2' } });
    await settle(world);
    for (const { transport } of [first, second]) transport.cut();
    await settle(world);
    const late = world.node('late');
    await settle(world);
    expect([first, second, late].map(({ node }) => node.active.get('acme'))).toEqual([2n, 1n, 1n]);
    await world.stop();
  });

  it('ends for every node with the state that is its own, whatever happened on the way', async () => {
    const names = ['one', 'two', 'three'];
    const id = fc.constantFrom('acme', 'globex');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('commit' as const), id, text: fc.constantFrom('1', '2', '3') }),
      fc.record({ kind: fc.constant('stage' as const), id, ahead: fc.subarray(names) }),
      fc.record({ kind: fc.constant('unstage' as const), id }),
      fc.record({ kind: fc.constant('cut' as const), node: fc.nat(2) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(30) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.array(step, { maxLength: 40 }), async (seed, steps) => {
        const world = new Simulation(seed, 8);
        const nodes = names.map((name) => ({ name, ...world.node(name) }));
        // Nodes that are ahead stay ahead: what they have is not taken back, as with revisions that are rolled out.
        const ahead = new Map<string, Set<string>>();
        for (const each of steps) {
          if (each.kind === 'commit') world.source.commit(each.id, { leaves: { a: each.text } });
          else if (each.kind === 'unstage') {
            ahead.delete(each.id);
            world.source.unstage(each.id);
          } else if (each.kind === 'stage') {
            const members = new Set([...(ahead.get(each.id) ?? []), ...each.ahead]);
            ahead.set(each.id, members);
            world.source.stage(each.id, [...members]);
          } else if (each.kind === 'cut') nodes[each.node]?.transport.cut();
          else await world.clock.advance(each.ms);
        }
        await settle(world);
        for (const { name, node } of nodes) {
          for (const collection of ['acme', 'globex']) {
            const staged = world.source.staged(collection);
            const expected = staged
              ? staged.stateFor({ node: { id: name } } as StreamInfo)
              : world.source.get(collection);
            expect(node.active.get(collection)).toBe(expected?.revision);
          }
          expect([...node.held(sealType).keys()].length).toBe(node.active.size);
          expect(node.torn).toEqual([]);
        }
        expect(world.overruns).toEqual([]);
        expect(world.observer.violations).toEqual([]);
        await world.stop();
      }),
      { numRuns: 100 },
    );
  });
});
