import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type GatewayBetween, startGatewayBetween } from './gateway-between.ts';
import { runServerSuite } from './suite.ts';

/** Passed checks of a whole run, as first measured: fewer mean that scenarios were not run. */
const legacyClientChecks = 80;

describe('the public conformance suite, client and server of different eras', () => {
  let between: GatewayBetween;

  beforeAll(async () => {
    between = await startGatewayBetween();
  });

  afterAll(() => between.stop());

  it('finds nothing wrong with a server of the modern era alone that legacy clients reach through the gateway', async () => {
    const { failed, passed } = await runServerSuite(between.through('modern'), '2025-11-25');
    expect(Object.fromEntries(failed)).toEqual({});
    expect(passed.length).toBeGreaterThanOrEqual(legacyClientChecks);
  }, 240_000);
});
