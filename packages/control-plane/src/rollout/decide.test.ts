import type { RolloutPlan, StagePlan } from '@signalbox/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type Decision, type FleetNode, type FleetView, next } from './decide.ts';
import { noHealth } from './health.ts';
import { isMember, nobody } from './members.ts';
import type { Rollout } from './rollout.ts';
import { pause, resume, transition } from './transition.ts';

const returnMs = 35_000;
const stage = (given: Partial<StagePlan> = {}): StagePlan => ({
  ...{ percent: 50, groups: [], soakMs: 60_000, manual: false },
  ...given,
});
const unlimited = { denialsPercent: 0, upstreamErrorsPercent: 0, latencyPercent: 0, minRequests: 1 };

function rollout(given: Partial<Rollout> = {}, plan: Partial<RolloutPlan> = {}): Rollout {
  return {
    ...{ scope: 'acme', revision: 8n, base: 7n, state: 'running', stage: 0, members: nobody, author: 'alice' },
    ...{
      stageSinceMs: undefined,
      settledSinceMs: undefined,
      startedAtMs: 0,
      endedAtMs: undefined,
      reason: '',
      version: 1,
    },
    plan: { requiredBy: 'tenant', stages: [stage(), stage({ percent: 100 })], limits: unlimited, ...plan },
    ...given,
  };
}

const node = (id: string, given: Partial<FleetNode> = {}): FleetNode => ({
  ...{ id, groups: [], connected: true, leftAtMs: undefined, applied: 7n, refusal: undefined, reports: true },
  ...given,
});
const fleet = (nodes: readonly FleetNode[], given: Partial<FleetView> = {}): FleetView => ({
  ...{ nodes, sinceMs: 0, returnMs, candidate: noHealth, base: noHealth },
  ...given,
});
const inStage = (ids: readonly string[], given: Partial<Rollout> = {}, plan: Partial<RolloutPlan> = {}) =>
  rollout({ members: { ...nobody, nodes: ids }, stageSinceMs: 0, ...given }, plan);
const running8 = { applied: 8n };

describe('a rollout', () => {
  it.each<[string, Rollout, FleetView, number, Partial<Decision> | undefined]>([
    ['waits while no node is there', rollout(), fleet([]), 1e9, undefined],
    ['waits while all nodes are away', rollout(), fleet([node('a', { connected: false })]), 1e9, undefined],
    ['begins its stage with a share of the nodes', rollout(), fleet([node('a'), node('b')]), 0, { kind: 'begin' }],
    [
      'waits until the nodes of the stage run the revision',
      inStage(['a']),
      fleet([node('a'), node('b')]),
      5,
      undefined,
    ],
    ['is settled when they do', inStage(['a']), fleet([node('a', running8), node('b')]), 5, { kind: 'settle' }],
    [
      'waits for somebody where no node of the stage says how it does, and that is asked for',
      inStage(['a'], { settledSinceMs: 10 }, { limits: { ...unlimited, denialsPercent: 5 } }),
      fleet([node('a', { ...running8, reports: false }), node('b')]),
      1e9,
      undefined,
    ],
    [
      'goes on where one of them does',
      inStage(['a', 'b'], { settledSinceMs: 10 }, { limits: { ...unlimited, denialsPercent: 5 } }),
      fleet([node('a', { ...running8, reports: false }), node('b', running8)]),
      60_010,
      { kind: 'advance' },
    ],
    [
      'lets the stage soak',
      inStage(['a'], { settledSinceMs: 10 }),
      fleet([node('a', running8), node('b')]),
      60_009,
      undefined,
    ],
    [
      'goes on to the next stage after that',
      inStage(['a'], { settledSinceMs: 10 }),
      fleet([node('a', running8), node('b')]),
      60_010,
      { kind: 'advance' },
    ],
    [
      'does not go on while a node that joined the stage does not run it yet',
      inStage(['a', 'c'], { settledSinceMs: 10 }),
      fleet([node('a', running8), node('b'), node('c')]),
      1e9,
      undefined,
    ],
    [
      'waits for somebody where the stage asks for it',
      inStage(['a'], { settledSinceMs: 10 }, { stages: [stage({ manual: true }), stage()] }),
      fleet([node('a', running8)]),
      1e9,
      undefined,
    ],
    [
      'is complete after the last stage',
      inStage(['a'], { settledSinceMs: 10 }, { stages: [stage()] }),
      fleet([node('a', running8), node('b')]),
      60_010,
      { kind: 'complete' },
    ],
    [
      'is taken back when a node of the stage refuses the revision',
      inStage(['a']),
      fleet([node('a', { refusal: 'too many routes' })]),
      5,
      { kind: 'take-back', reason: 'node a refused it: too many routes' },
    ],
    [
      'is taken back by a refusal of a node that has gone since',
      inStage(['a']),
      fleet([node('a', { refusal: 'no', connected: false }), node('b', { refusal: 'no' })]),
      5,
      { kind: 'take-back', reason: 'node a and 1 more refused it: no' },
    ],
    [
      'is taken back by a refusal while it is paused',
      inStage(['a'], { state: 'paused' }),
      fleet([node('a', { refusal: 'no' })]),
      5,
      { kind: 'take-back' },
    ],
    [
      'is taken back when its nodes do worse',
      inStage(['a'], {}, { limits: { ...unlimited, denialsPercent: 5 } }),
      fleet([node('a', running8)], { candidate: { ...noHealth, requests: 50, denials: 10 } }),
      5,
      { kind: 'take-back' },
    ],
    [
      'does not move while it is paused',
      inStage(['a'], { state: 'paused', settledSinceMs: 1 }),
      fleet([node('a', running8)]),
      1e9,
      undefined,
    ],
    [
      'does not move once it is halted',
      inStage(['a'], { state: 'halted' }),
      fleet([node('a', { refusal: 'no' })]),
      1e9,
      undefined,
    ],
    [
      'does not move once it has ended',
      inStage(['a'], { state: 'completed' }),
      fleet([node('a', { refusal: 'no' })]),
      1e9,
      undefined,
    ],
    [
      'is not settled any more when all its nodes leave',
      inStage(['a'], { settledSinceMs: 1 }),
      fleet([node('b')]),
      2,
      { kind: 'unsettle' },
    ],
    ['gives them time to return', inStage(['a']), fleet([node('b')]), returnMs - 1, undefined],
    [
      'gives them time after a start of its own',
      inStage(['a']),
      fleet([node('b')], { sinceMs: 5 }),
      returnMs,
      undefined,
    ],
    [
      'is halted when they do not: others must not follow them',
      inStage(['a']),
      fleet([node('b')]),
      returnMs,
      { kind: 'halt', reason: 'none of its nodes has come back: a' },
    ],
    [
      'is halted when the nodes of its groups do not',
      inStage(
        [],
        { members: { ...nobody, groups: ['canary'] } },
        { stages: [stage({ percent: 0, groups: ['canary'] })] },
      ),
      fleet([node('a', { groups: ['canary'], connected: false, leftAtMs: 1 }), node('b')]),
      1e9,
      { kind: 'halt', reason: 'none of its nodes has come back: a' },
    ],
    [
      'passes over groups that have had no node, when their time is over',
      inStage([], {}, { stages: [stage({ percent: 0, groups: ['canary'] }), stage()] }),
      fleet([node('b')]),
      60_000,
      { kind: 'advance' },
    ],
  ])('%s', (...row) => {
    const [, state, view, nowMs, expected] = row;
    const decision = decide(state, view, nowMs);
    expect(decision ?? { kind: 'nothing' }).toMatchObject(expected ?? { kind: 'nothing' });
  });

  it('keeps as members whom it has reached by their group, also when they leave the group', () => {
    const canaries = rollout({ members: { ...nobody, groups: ['canary'] }, stageSinceMs: 0 });
    const canary = node('a', { groups: ['canary'], ...running8 });
    const decision = decide(canaries, fleet([canary, node('b')]), 5);
    const settled = transition(canaries, decision as Extract<Decision, { kind: 'settle' }>, {
      nowMs: 5,
      actor: '',
    }).rollout;
    expect(isMember(settled.members, { id: 'a', groups: [] })).toBe(true);
    expect(isMember(settled.members, { id: 'b', groups: [] })).toBe(false);
  });

  it('begins the stage to which somebody promotes it when there is a node for it', () => {
    const by = { nowMs: 20, actor: 'alice' };
    const waiting = transition(
      inStage(['a']),
      next(inStage(['a']), []) as Extract<Decision, { kind: 'advance' }>,
      by,
    ).rollout;
    expect(waiting).toMatchObject({ stage: 1, stageSinceMs: undefined });
    expect(decide(waiting, fleet([node('b')]), 1e9)).toMatchObject({ kind: 'begin' });
  });

  it('says in its log of how many nodes it is not heard how they do', () => {
    const limited = rollout({}, { stages: [stage({ percent: 100 })], limits: { ...unlimited, latencyPercent: 150 } });
    expect(decide(limited, fleet([node('a', { reports: false }), node('b')]), 0)).toMatchObject({
      note: '2 of 2 nodes: a, b; how 1 of them do is not heard, since they are not our proxies',
    });
  });

  it('counts the soak time anew after a pause', () => {
    const soaking = inStage(['a'], { settledSinceMs: 10 });
    const resumed = resume(pause(soaking, 'alice', 'lunch').rollout, 'alice', '').rollout;
    expect(resumed).toMatchObject({ state: 'running', settledSinceMs: undefined, version: 3 });
    expect(decide(resumed, fleet([node('a', running8)]), 70_000)).toMatchObject({ kind: 'settle' });
  });
});

const plans = fc.record({
  requiredBy: fc.constant('tenant' as const),
  stages: fc
    .array(
      fc.record({
        percent: fc.integer({ min: 0, max: 100 }),
        groups: fc.constant(['canary']),
        soakMs: fc.integer({ min: 0, max: 50_000 }),
        manual: fc.constant(false),
      }),
      { minLength: 1, maxLength: 4 },
    )
    .map((stages) => stages.toSorted((a, b) => a.percent - b.percent)),
  limits: fc.constant(unlimited),
});
const happenings = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), node: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('return' as const), node: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'refuse' as const }) },
  ),
  { maxLength: 60 },
);

type MutableNode = { -readonly [K in keyof FleetNode]: FleetNode[K] };

/** A fleet and a rollout that goes on in it; keeps a note of whatever must not be. */
class Course {
  readonly violations: string[] = [];
  readonly nodes: MutableNode[] = Array.from({ length: 10 }, (_, i) =>
    Object.assign({}, node(`n${i}`, { groups: i === 3 ? ['canary'] : [] })),
  );
  state: Rollout;
  nowMs = 0;
  takenBack = false;

  constructor(plan: RolloutPlan) {
    this.state = rollout({}, plan);
  }

  /** Nodes that the rollout has reached run the revision, and somebody decides. */
  turn(): void {
    for (const each of this.nodes) if (each.connected && isMember(this.state.members, each)) each.applied = 8n;
    const isRefused = this.nodes.some(({ refusal }) => refusal !== undefined);
    const decision = decide(this.state, fleet(this.nodes), this.nowMs);
    this.takenBack = decision?.kind === 'take-back';
    if (isRefused !== this.takenBack) this.violations.push(`refused ${isRefused}, taken back ${this.takenBack}`);
    if (!decision || decision.kind === 'take-back') return;
    const before = this.state;
    this.state = transition(before, decision, { nowMs: this.nowMs, actor: '' }).rollout;
    if (decision.kind === 'advance' || decision.kind === 'complete') this.#checkSoak(before);
    const lost = this.nodes.some((each) => isMember(before.members, each) && !isMember(this.state.members, each));
    if (lost || this.state.stage < before.stage) this.violations.push(`went back at ${this.nowMs}`);
  }

  #checkSoak({ plan, stage, settledSinceMs, stageSinceMs }: Rollout): void {
    const soakMs = plan.stages[stage]?.soakMs ?? 0;
    const sinceMs = settledSinceMs ?? stageSinceMs ?? this.nowMs;
    if (this.nowMs - sinceMs < soakMs) this.violations.push(`stage ${stage} ended ${this.nowMs - sinceMs} ms in`);
  }
}

describe('any course of a rollout', () => {
  it('never shrinks, skips no soak time, stops at the first refusal, and ends when nothing is wrong', () => {
    fc.assert(
      fc.property(plans, happenings, (plan, steps) => {
        const course = new Course(plan);
        const goesOn = () => course.state.state === 'running' && !course.takenBack;
        for (const step of steps) {
          if (course.takenBack || course.state.state !== 'running') break;
          if (step.kind === 'time') course.nowMs += step.ms;
          else if (step.kind === 'refuse') Object.assign(course.nodes[0] ?? {}, { refusal: 'no' });
          else Object.assign(course.nodes[step.node] ?? {}, { connected: step.kind === 'return' });
          course.turn();
        }
        for (const each of course.nodes) each.connected = true;
        if (course.state.state === 'halted') course.state = resume(course.state, 'alice', 'they are back').rollout;
        for (let i = 0; i < 40 && goesOn(); i += 1) {
          course.nowMs += 50_000;
          course.turn();
        }
        expect(course.violations).toEqual([]);
        expect(course.takenBack || course.state.state === 'completed').toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
