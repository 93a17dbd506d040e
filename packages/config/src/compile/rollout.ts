import { type Problem, ProblemList } from '../problem.ts';
import type { Source } from './source.ts';

/** A tenant has one way in which its revisions reach nodes: a second policy that names one is an error. */
export function rolloutProblems(policies: Iterable<Source<'Policy'>>, scope: string): Problem[] {
  const [first, ...others] = [...policies].filter(({ message }) => message.rollout !== undefined);
  return others.flatMap(({ name }) => {
    const found = new ProblemList({ kind: 'Policy', scope, name });
    found.error('conflict', 'spec.rollout', `policy ${first?.name} already has a rollout; keep one of them`);
    return found.problems;
  });
}
