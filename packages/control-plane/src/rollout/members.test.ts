import { describe, expect, it } from 'vitest';
import { type Candidate, isMember, nobody, positionOf, withStage } from './members.ts';

const fleet = (count: number, groups: readonly string[] = []): Candidate[] =>
  Array.from({ length: count }, (_, i) => ({ id: `node-${i}`, groups }));
const stage = (percent: number, groups: readonly string[] = []) => ({ percent, groups, soakMs: 0, manual: false });
const countIn = (nodes: readonly Candidate[], members = nobody) =>
  nodes.filter((node) => isMember(members, node)).length;

describe('the nodes of a stage', () => {
  it.each([
    [3, 10, 1],
    [3, 34, 2],
    [10, 25, 3],
    [100, 5, 5],
    [1, 1, 1],
    [7, 100, 7],
  ])('of %i nodes, %i %% are %i', (count, percent, expected) => {
    const nodes = fleet(count);
    expect(countIn(nodes, withStage(nobody, stage(percent), nodes))).toBe(expected);
  });

  it('are the same whatever the order in which nodes are seen, and first in the next rollout as well', () => {
    const nodes = fleet(20);
    const drawn = withStage(nobody, stage(20), nodes);
    expect(withStage(nobody, stage(20), nodes.toReversed())).toEqual(drawn);
    expect(withStage(nobody, stage(50), nodes).nodes.slice(0, 4)).toEqual(drawn.nodes);
    expect(drawn.nodes.map(positionOf)).toEqual(
      nodes
        .map(({ id }) => positionOf(id))
        .sort((a, b) => a - b)
        .slice(0, 4),
    );
  });

  it('stay in when later stages add others, also when they were not there then', () => {
    const nodes = fleet(10);
    const first = withStage(nobody, stage(10), nodes);
    const second = withStage(
      first,
      stage(20),
      nodes.filter(({ id }) => !first.nodes.includes(id)),
    );
    expect(first.nodes.every((id) => second.nodes.includes(id))).toBe(true);
  });

  it('do not grow with a fleet that was seen in part: who comes later waits for the next stage', () => {
    const drawn = withStage(nobody, stage(10), fleet(1));
    expect(countIn(fleet(50), drawn)).toBe(1);
  });

  it('are a range of positions in a large fleet, close to the share', () => {
    const nodes = fleet(5_000);
    const drawn = withStage(nobody, stage(10), nodes);
    expect(drawn.nodes).toEqual([]);
    expect(Math.abs(countIn(nodes, drawn) - 500)).toBeLessThan(75);
  });

  it('are those of its groups, those that come later included', () => {
    const members = withStage(nobody, stage(0, ['canary']), []);
    expect(isMember(members, { id: 'x', groups: ['edge', 'canary'] })).toBe(true);
    expect(isMember(members, { id: 'x', groups: ['edge'] })).toBe(false);
  });
});
