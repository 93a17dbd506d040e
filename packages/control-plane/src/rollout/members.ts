import { createHash } from 'node:crypto';

import type { StagePlan } from '@signalbox/config';

/** The nodes that a rollout has reached: in these groups, of these names, or with a position below the share. */
export interface Members {
  readonly groups: readonly string[];
  readonly nodes: readonly string[];
  /** 0: none. 2³²: all. */
  readonly share: number;
}

/** A node as far as membership goes. */
export interface Candidate {
  readonly id: string;
  readonly groups: readonly string[];
}

export const nobody: Members = { groups: [], nodes: [], share: 0 };

const allPositions = 2 ** 32;
/** A larger share is drawn as a range of positions: exact enough for so many, and one number however many they are. */
const namedAtMost = 200;

export function isMember({ groups, nodes, share }: Members, node: Candidate): boolean {
  if (share === allPositions || nodes.includes(node.id)) return true;
  return groups.some((group) => node.groups.includes(group)) || (share > 0 && positionOf(node.id) < share);
}

/** Where a node stands in the order in which nodes are drawn, 0 to 2³² - 1: the same for every rollout and replica. */
export function positionOf(node: string): number {
  return createHash('sha256').update(node).digest().readUInt32BE();
}

/**
 * Those of the stages before, and those that a stage adds. A share is of the nodes that are there, rounded up. Few are
 * drawn by name, so that a fleet that was not seen whole does not make a share of it large.
 */
export function withStage(before: Members, { percent, groups }: StagePlan, fleet: readonly Candidate[]): Members {
  const named = { ...before, groups: [...new Set([...before.groups, ...groups])] };
  if (percent === 0) return named;
  if (percent === 100) return { ...named, share: allPositions };
  const count = Math.ceil((fleet.length * percent) / 100);
  if (count > namedAtMost) {
    return { ...named, share: Math.max(before.share, Math.floor((allPositions * percent) / 100)) };
  }
  const drawn = fleet.map(({ id }) => ({ id, position: positionOf(id) })).sort(byPosition);
  return { ...named, nodes: [...new Set([...before.nodes, ...drawn.slice(0, count).map(({ id }) => id)])] };
}

/** Those that are members by their group alone, by name as well, as long as they are few. @param nodes members. */
export function byName(members: Members, nodes: readonly Candidate[]): Members {
  const groupless = { ...members, groups: [] };
  const named = nodes.filter((node) => !isMember(groupless, node)).map(({ id }) => id);
  if (named.length === 0 || members.nodes.length + named.length > namedAtMost) return members;
  return { ...members, nodes: [...members.nodes, ...new Set(named)] };
}

function byPosition(one: { id: string; position: number }, other: { id: string; position: number }): number {
  return one.position - other.position || (one.id < other.id ? -1 : 1);
}
