import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { RevocationSchema } from '@signalbox/proto/signalbox/config/v1/revocation_pb.ts';
import { describe, expect, it } from 'vitest';
import { nobody } from './compile-authentication.ts';
import { compileRevocation, isRevoked, isSubjectRevoked, type RevocableToken, withRevocations } from './revocations.ts';

const issuer = 'https://idp.example';
const jwt = new Map([[issuer, { issuer, audiences: ['a'], groupsClaim: 'groups', jwks: { uri: '' } }]]);
const noon = Date.UTC(2026, 10, 22, 12);
const token: RevocableToken = { issuer, subject: 'alice', tokenId: 't1', issuedAtMs: noon };

function table(...revocations: MessageInitShape<typeof RevocationSchema>[]) {
  const entries = revocations.map((each) => compileRevocation(create(RevocationSchema, each)));
  return withRevocations({ ...nobody, jwt }, entries);
}

describe('a revocation', () => {
  it.each<[string, MessageInitShape<typeof RevocationSchema>, Partial<RevocableToken>, boolean]>([
    ['is about the tokens that it names', { tokenIds: ['t1'] }, {}, true],
    ['is about no others', { tokenIds: ['t2'] }, {}, false],
    ['by id is not about tokens without one', { tokenIds: ['t1'] }, { tokenId: undefined }, false],
    ['is about all tokens of a subject', { subjects: ['alice'] }, {}, true],
    ['is not about other subjects', { subjects: ['bob'] }, {}, false],
    ['of an issuer is not about another', { issuer: 'https://other.example', subjects: ['alice'] }, {}, false],
    ['may end with a time', { subjects: ['alice'], issuedBefore: '2026-11-22T12:00:00Z' }, {}, false],
    [
      'is about what was issued before',
      { subjects: ['alice'], issuedBefore: '2026-11-22T13:00:00+01:00' },
      { issuedAtMs: noon - 1 },
      true,
    ],
    ['of a time alone is about everybody', { issuedBefore: '2026-11-22T12:00:01Z' }, { subject: 'bob' }, true],
    [
      'of named tokens is about them whenever they were issued',
      { tokenIds: ['t1'], issuedBefore: '2020-01-01T00:00:00Z' },
      {},
      true,
    ],
  ])('%s', (_what, revocation, of, expected) => {
    // One beside it keeps the list there.
    const { revocations } = table(revocation, { tokenIds: ['other'] });
    expect(isRevoked(revocations, { ...token, ...of })).toBe(expected);
  });

  it('of a subject is for good only without a time', () => {
    expect(isSubjectRevoked(table({ subjects: ['alice'] }).revocations, issuer, 'alice')).toBe(true);
    const until = table({ subjects: ['alice'], issuedBefore: '2026-11-22T12:00:00Z' });
    expect(isSubjectRevoked(until.revocations, issuer, 'alice')).toBe(false);
  });

  it('makes another table of one that accepts tokens of its issuer, and only of such', () => {
    const [first, second] = [table({ tokenIds: ['t1'] }), table({ tokenIds: ['t1'] })];
    expect(first.digest).toBe(second.digest);
    expect(table({ tokenIds: ['t2'] }).digest).not.toBe(first.digest);
    const plain = { ...nobody, jwt };
    expect(table({ issuer: 'https://other.example', subjects: ['alice'] }).digest).toBe(plain.digest);
    expect(withRevocations(nobody, first.revocations?.entries ?? [])).toBe(nobody);
  });
});
