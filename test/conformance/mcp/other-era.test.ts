import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readBaseline } from './baseline.ts';
import { type GatewayBetween, startGatewayBetween } from './gateway-between.ts';
import { runServerSuite } from './suite.ts';

/** Passed checks of whole runs, as first measured: fewer mean that scenarios were not run. */
const passedChecks = { legacyClient: 80, modernClient: 162 };

describe('the public conformance suite, client and server of different eras', () => {
  let between: GatewayBetween;

  beforeAll(async () => {
    between = await startGatewayBetween();
  });

  afterAll(() => between.stop());

  it('finds nothing wrong with a server of the modern era alone that legacy clients reach through the gateway', async () => {
    const { failed, passed } = await runServerSuite(between.through('modern'), '2025-11-25');
    expect(Object.fromEntries(failed)).toEqual({});
    expect(passed.length).toBeGreaterThanOrEqual(passedChecks.legacyClient);
  }, 240_000);

  it('finds no more wrong than the baseline says with a server of the legacy era alone that modern clients reach', async () => {
    const { failed, passed } = await runServerSuite(between.through('legacy'), '2026-07-28');
    const baseline = await readBaseline('2026-07-28.legacy-server');
    expect([...failed.keys()].sort()).toEqual([...baseline.keys()].sort());
    expect(passed.length).toBeGreaterThanOrEqual(passedChecks.modernClient);
  }, 240_000);
});
