import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readBaseline } from './baseline.ts';
import { type GatewayBetween, type ServerEra, startGatewayBetween } from './gateway-between.ts';
import { type Requirements, runServerSuite, type SuiteResult } from './suite.ts';

const cells: readonly { readonly era: ServerEra; readonly requirements: Requirements }[] = [
  { era: 'legacy', requirements: '2025-11-25' },
  { era: 'modern', requirements: '2026-07-28' },
];

describe('the public conformance suite, client and server of one era', () => {
  let between: GatewayBetween;

  beforeAll(async () => {
    between = await startGatewayBetween();
  });

  afterAll(() => between.stop());

  describe.each(cells)('$era, requirements of $requirements', ({ era, requirements }) => {
    let direct: SuiteResult;
    let through: SuiteResult;

    beforeAll(async () => {
      direct = await runServerSuite(between.direct(era), requirements);
      through = await runServerSuite(between.through(era), requirements);
    }, 480_000);

    it('says the same of a server and of the gateway in front of it', () => {
      const sorted = (checks: Iterable<string>) => [...checks].sort();
      expect(sorted(through.failed.keys())).toEqual(sorted(direct.failed.keys()));
      expect(sorted(through.passed)).toEqual(sorted(direct.passed));
    });

    it('finds no more to fail than the baseline says, and no less', async () => {
      const baseline = await readBaseline(requirements);
      expect([...through.failed.keys()].sort()).toEqual([...baseline.keys()].sort());
    });
  });
});
