import type { RoutingTable } from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import type { TableObserver } from './admission.ts';
import { CurrentTable } from './current-table.ts';

const tableNamed = (hash: string): RoutingTable => ({
  hash,
  operator: null,
  tenants: new Map(),
  match: () => undefined,
});

class Witness implements TableObserver {
  readonly seen: string[] = [];

  onSwap(previous: RoutingTable | undefined, next: RoutingTable): void {
    this.seen.push(`${previous?.hash ?? 'nothing'} → ${next.hash}`);
  }

  onRetired(table: RoutingTable): void {
    this.seen.push(`${table.hash} ended`);
  }
}

describe('the current table', () => {
  it('admits nobody before the first table', () => {
    const current = new CurrentTable();
    expect(current.admit()).toBeUndefined();
    expect(current.value).toBeUndefined();
  });

  it('gives a request the table that was present when it was admitted, whatever comes after', () => {
    const current = new CurrentTable();
    const [first, second] = [tableNamed('first'), tableNamed('second')];
    current.swap(first);
    using early = current.admit();
    current.swap(second);
    using late = current.admit();
    expect(early?.table).toBe(first);
    expect(late?.table).toBe(second);
    expect(current.value).toBe(second);
  });

  it('says that a superseded table has ended when its last request has', () => {
    const current = new CurrentTable();
    const witness = new Witness();
    current.observe(witness);
    current.swap(tableNamed('first'));
    const one = current.admit();
    const other = current.admit();
    current.swap(tableNamed('second'));
    one?.[Symbol.dispose]();
    expect(current.superseded).toBe(1);
    other?.[Symbol.dispose]();
    expect(current.superseded).toBe(0);
    expect(witness.seen).toEqual(['nothing → first', 'first → second', 'first ended']);
  });

  it('says at once that a table has ended when nobody used it', () => {
    const current = new CurrentTable();
    const witness = new Witness();
    current.swap(tableNamed('first'));
    current.observe(witness);
    current.swap(tableNamed('second'));
    expect(witness.seen).toEqual(['first → second', 'first ended']);
  });

  it('counts an admission once when it is disposed twice', () => {
    const current = new CurrentTable();
    const witness = new Witness();
    current.swap(tableNamed('first'));
    const one = current.admit();
    using _other = current.admit();
    one?.[Symbol.dispose]();
    one?.[Symbol.dispose]();
    current.observe(witness);
    current.swap(tableNamed('second'));
    expect(witness.seen).toEqual(['first → second']);
  });
});
