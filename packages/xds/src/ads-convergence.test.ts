import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResourceUpdate } from './client-handler.ts';
import { leafType, sealType, type TestChange, twigType } from './testing/memory-source.ts';
import type { RecordingNode } from './testing/recording-node.ts';
import { Simulation } from './testing/simulation.ts';

type Action =
  | { readonly kind: 'commit'; readonly id: string; readonly leaves: TestChange; readonly twigs: TestChange }
  | { readonly kind: 'drop'; readonly id: string }
  | { readonly kind: 'cut' | 'refuse'; readonly node: number }
  | { readonly kind: 'wait'; readonly ms: number };

const ids = ['acme', 'globex', 'initech'];
const change = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2', '3', null), { maxKeys: 3 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      id: fc.constantFrom(...ids),
      leaves: change,
      twigs: change,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), id: fc.constantFrom(...ids) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'refuse' as const), node: fc.nat(1) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(40) }) },
);

/** Refuses the next response, whatever it is. */
function refuseOnce(node: RecordingNode): void {
  node.refuse = (update: ResourceUpdate) => {
    node.refuse = () => [];
    return update.resources.slice(0, 1).map(({ name }) => ({ name, error: 'refused by the test' }));
  };
}

/** Versions in the source, as a node that sees these collections should hold them. */
function expected(world: Simulation, seen: readonly string[], typeUrl: string): Record<string, string> {
  const entries = seen.flatMap((id) => [...(world.source.get(id)?.all(typeUrl) ?? [])]);
  return Object.fromEntries(entries.map(({ name, version }) => [name, version]));
}

async function act(world: Simulation, nodes: readonly World[], { ...step }: Action): Promise<void> {
  if (step.kind === 'wait') await world.clock.advance(step.ms);
  else if (step.kind === 'commit') world.source.commit(step.id, step);
  else if (step.kind === 'drop') world.source.drop(step.id);
  else if (step.kind === 'cut') nodes[step.node]?.transport.cut();
  else refuseOnce((nodes[step.node] as World).node);
}

/** In steps: a node that has just lost its stream must come to set its timer before time passes it by. */
async function settle({ clock }: Simulation): Promise<void> {
  for (let i = 0; i < 20; i += 1) await clock.advance(100);
}

type World = ReturnType<Simulation['node']> & { readonly sees: readonly string[] };

describe('any interleaving of changes, cuts, delays and refusals', () => {
  it('leaves every node with what the source has, never torn, never ahead of its answers', async () => {
    const scenario = fc.record({ seed: fc.integer(), actions: fc.array(action, { maxLength: 50 }) });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ seed, actions }) => {
        const world = new Simulation(seed, 8, { maxResponseBytes: 700 });
        const nodes: World[] = [
          { ...world.node('node-all'), sees: ids },
          { ...world.node('node-acme', 'acme'), sees: ['acme'] },
        ];
        for (const { node } of nodes) node.beforeAnswer = () => world.clock.sleep(seed % 2 === 0 ? 0 : 3);
        for (const step of actions) await act(world, nodes, step);
        await settle(world);
        for (const { node, sees } of nodes) {
          for (const typeUrl of [leafType, twigType]) {
            expect(Object.fromEntries(node.held(typeUrl))).toEqual(expected(world, sees, typeUrl));
          }
          node.refuse = () => [];
        }
        for (const id of ids) world.source.commit(id, { leaves: { final: '1' } });
        await settle(world);
        for (const { node, sees } of nodes) {
          expect(Object.fromEntries(node.held(sealType))).toEqual(expected(world, sees, sealType));
          expect(Object.fromEntries(node.active)).toEqual(
            Object.fromEntries(sees.map((id) => [id, world.source.get(id)?.revision])),
          );
          expect(node.torn).toEqual([]);
        }
        expect(world.overruns).toEqual([]);
        expect(world.observer.violations).toEqual([]);
        await world.stop();
        expect(world.observer.open.size).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
