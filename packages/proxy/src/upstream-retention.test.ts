import type { RoutingTable } from '@signalbox/config';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { UpstreamRetention } from './upstream-retention.ts';

function tableTo(...urls: readonly string[]): RoutingTable {
  const routes = new Map(
    urls.map((url, at) => [`route-${at}`, { kind: 'mcp', mcp: { member: { backend: { url, key: url } } } }]),
  );
  const tenants = new Map([['acme', { tenant: 'acme', routes }]]);
  return { hash: '', operator: null, tenants, match: () => undefined } as unknown as RoutingTable;
}

function fixture() {
  const clock = new ManualClock();
  const retained: string[][] = [];
  const upstream = { retain: (origins: ReadonlySet<string>) => void retained.push([...origins]) };
  const kept: string[][] = [];
  const health = { retain: (keys: ReadonlySet<string>) => void kept.push([...keys]) };
  const options = { upstream, health, delayMs: 1_000, sliceMs: 2, clock, logger: new MemoryLogger() };
  return { clock, retained, kept, retention: new UpstreamRetention(options) };
}

describe('upstream connections', () => {
  it('are kept to the origins of the newest table, once for several swaps', async () => {
    const { clock, retained, kept, retention } = fixture();
    retention.onSwap(undefined, tableTo('http://127.0.0.1:3001/mcp'));
    retention.onSwap(undefined, tableTo('http://127.0.0.1:3002/mcp', 'https://tools.example:443/a/mcp'));
    await clock.advance(1_000);
    expect(kept).toEqual([['http://127.0.0.1:3002/mcp', 'https://tools.example:443/a/mcp']]);
    expect(retained).toEqual([['http://127.0.0.1:3002', 'https://tools.example']]);
  });

  it('are looked at again when the last request of a superseded table has ended', async () => {
    const { clock, retained, retention } = fixture();
    retention.onSwap(undefined, tableTo('http://127.0.0.1:3001/mcp'));
    await clock.advance(1_000);
    retention.onRetired();
    await clock.advance(1_000);
    expect(retained).toHaveLength(2);
  });

  it('are left alone after a stop', async () => {
    const { clock, retained, retention } = fixture();
    retention.onSwap(undefined, tableTo('http://127.0.0.1:3001/mcp'));
    retention.stop();
    await clock.advance(5_000);
    expect(retained).toEqual([]);
  });
});
