import { SeededRandom } from '@signalbox/runtime/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomSessionKeys } from '../session/session-keys.ts';
import { callEventId, readEventId, sharedEventId } from './event-ids.ts';
import { ListCursors } from './list-cursor.ts';
import { MemberIds } from './member-ids.ts';

const random = new SeededRandom(1);
const [older] = randomSessionKeys(random);
const [newer] = randomSessionKeys(random);
const text = fc.string({ unit: 'binary' });
const key = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);

describe('an id of a request of a member', () => {
  it('leads back to the member and its own id, in its session alone', () => {
    const ids = new MemberIds([newer]);
    fc.assert(
      fc.property(key, text, (member, own) => {
        const id = JSON.stringify(own);
        const minted = ids.mint('session', member, id);
        expect(ids.read('session', minted)).toEqual({ member, id });
        expect(ids.read('other', minted)).toBeUndefined();
        expect(JSON.parse(minted)).toMatch(/^[\x21-\x7e]+$/);
      }),
    );
  });

  it('is nothing when any character of it is another', () => {
    const ids = new MemberIds([newer]);
    const minted = ids.mint('session', 'one', '42');
    for (let at = 0; at < minted.length; at += 1) {
      const other = `${minted.slice(0, at)}${minted[at] === 'A' ? 'B' : 'A'}${minted.slice(at + 1)}`;
      expect(ids.read('session', other)).toBeUndefined();
    }
    for (const odd of ['', '7', '""', 'null', '"sbm.one.NDI.short"']) expect(ids.read('session', odd)).toBeUndefined();
  });

  it('outlives a change of keys', () => {
    const minted = new MemberIds([older]).mint('session', 'one', '42');
    expect(new MemberIds([newer, older]).read('session', minted)).toEqual({ member: 'one', id: '42' });
    expect(new MemberIds([newer]).read('session', minted)).toBeUndefined();
  });
});

describe('a cursor of a merged list', () => {
  it('leads back to the cursors of members, and is nothing when any bit of it is changed', () => {
    const cursors = new ListCursors([newer], random);
    const walk = { method: 'tools/list', route: 'digest', principal: 'alice' };
    fc.assert(
      fc.property(fc.array(fc.tuple(key, text)), (pairs) => {
        const members = new Map(pairs);
        const cursor = cursors.seal({ ...walk, members });
        expect(cursors.open(cursor, walk)).toEqual(members);
        const [id, sealed] = cursor.split('.') as [string, string];
        const bytes = Buffer.from(sealed, 'base64url');
        bytes[bytes.length >> 1]! ^= 1;
        expect(cursors.open(`${id}.${bytes.toString('base64url')}`, walk)).toBeUndefined();
      }),
    );
  });
});

describe('an id of an event', () => {
  it('leads back to the events of members', () => {
    fc.assert(
      fc.property(key, text, fc.array(fc.tuple(key, fc.string())), (member, id, pairs) => {
        expect(readEventId(callEventId(member, id))).toEqual({ kind: 'call', member, id: id.toWellFormed() });
        const seen = new Map([...pairs, [member, 'last']] as [string, string][]);
        expect(readEventId(sharedEventId(seen))).toEqual({ kind: 'shared', seen, kept: undefined });
        expect(readEventId(sharedEventId(seen, 'sbe.x'))).toEqual({ kind: 'shared', seen, kept: 'sbe.x' });
      }),
    );
  });

  it('stays short enough for a header; the newest event is always in it', () => {
    const seen = new Map(Array.from({ length: 32 }, (_, at) => [`member-${at}`, 'x'.repeat(200)]));
    const id = sharedEventId(seen);
    expect(id.length).toBeLessThan(2_100);
    const read = readEventId(id);
    expect(read?.kind === 'shared' && read.seen.has('member-31')).toBe(true);
  });

  it.each(['', 's', 'c', 'x.a.b', 'c.a.b.c.d', 's.a', `s.${'a.b.'.repeat(5_000)}`])('is nothing else: %s', (odd) => {
    expect(readEventId(odd)).toBeUndefined();
  });
});
