import { Promotion, type Rollout, type RolloutStage } from '@signalbox/proto/signalbox/config/v1/rollout_pb.ts';
import type { ProblemList } from '../problem.ts';
import { durationFault } from './duration.ts';
import { nameFault } from './name.ts';

const limits = { stages: 20, groups: 50 };

/** What a Rollout must be by itself, wherever it stands: stages that each name somebody, and limits that can be exceeded. */
export function checkRollout(rollout: Rollout, field: string, found: ProblemList): void {
  const { stages } = rollout;
  if (stages.length === 0) found.error('missing-field', `${field}.stages`, 'needs at least one stage');
  if (!found.bounded(`${field}.stages`, stages, limits.stages)) return;
  let percent = 0;
  for (const [at, stage] of stages.entries()) {
    const path = `${field}.stages[${at}]`;
    checkStage(stage, path, found);
    if (stage.percent !== 0 && stage.percent <= percent) {
      found.error('invalid-value', `${path}.percent`, `adds no node: an earlier stage has ${percent} already`);
    }
    percent = Math.max(percent, stage.percent);
  }
  checkLimits(rollout, `${field}.limits`, found);
  if (!rollout.limits) return;
  for (const [at, { soak, promotion }] of stages.entries()) {
    if (soak !== '' || promotion === Promotion.MANUAL) continue;
    found.warn('missing-field', `${field}.stages[${at}].soak`, 'is empty: no time in which limits could be exceeded');
  }
}

function checkStage({ percent, groups, soak, promotion }: RolloutStage, field: string, found: ProblemList): void {
  if (percent === 0 && groups.length === 0) {
    found.error('missing-field', field, 'has no nodes: give percent or groups');
  }
  if (percent > 100) found.error('invalid-value', `${field}.percent`, `must be from 1 to 100, not ${percent}`);
  found.checkEach(`${field}.groups`, groups, limits.groups, nameFault);
  found.check(`${field}.soak`, durationFault(soak));
  if (promotion > Promotion.MANUAL) {
    found.error('invalid-value', `${field}.promotion`, 'is not a promotion that this version knows');
  }
}

function checkLimits({ limits: given }: Rollout, field: string, found: ProblemList): void {
  if (!given) return;
  const shares = { denialsPercent: given.denialsPercent, upstreamErrorsPercent: given.upstreamErrorsPercent };
  for (const [name, share] of Object.entries(shares)) {
    if (share > 100) found.error('invalid-value', `${field}.${name}`, `must be at most 100, not ${share}`);
  }
  const { latencyPercent: latency } = given;
  if (latency !== 0 && latency <= 100) {
    found.error(
      'invalid-value',
      `${field}.latencyPercent`,
      `must be at least 101, not ${latency}: 200 is twice as long`,
    );
  }
  if (given.denialsPercent + given.upstreamErrorsPercent + latency > 0) return;
  found.error('missing-field', field, 'limits nothing: give denialsPercent, upstreamErrorsPercent or latencyPercent');
}
