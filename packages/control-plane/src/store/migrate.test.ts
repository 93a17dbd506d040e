import { describe, expect, it } from 'vitest';

import { migrationOf, pending } from './migrate.ts';

const one = migrationOf('0001-one.sql', 'select 1');
const two = migrationOf('0002-two.sql', 'select 2');

describe('pending migrations', () => {
  it('are those that have not run, in order', () => {
    expect(pending([], [one, two])).toEqual([one, two]);
    expect(pending([one], [one, two])).toEqual([two]);
    expect(pending([one, two], [one, two])).toEqual([]);
  });

  it('are none when the database is newer: the start is refused', () => {
    expect(() => pending([one, two], [one])).toThrow('start that version');
  });

  it('are none when an applied file has changed: the start is refused', () => {
    expect(() => pending([{ ...one, checksum: 'other' }], [one, two])).toThrow('0001-one has changed');
  });
});
