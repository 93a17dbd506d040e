import { Code, ConnectError } from '@connectrpc/connect';
import { Problem_Severity, ProblemsSchema } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { describe, expect, it } from 'vitest';
import { apiFailure } from './api-failure.ts';

describe('apiFailure', () => {
  it('lists the problems of a refused write', () => {
    const problem = {
      severity: Problem_Severity.ERROR,
      kind: 'Route',
      tenant: 'acme',
      name: 'chat',
      field: 'spec.gateway',
      code: 'dangling-reference',
      message: 'there is no Gateway "dmz"',
    };
    const detail = { desc: ProblemsSchema, value: { problems: [problem] } };
    const error = new ConnectError('refused', Code.InvalidArgument, undefined, [detail]);
    expect(apiFailure(error).message).toBe(
      'refused, 1 problem:\n  Route acme/chat spec.gateway: there is no Gateway "dmz"',
    );
  });

  it.each([
    [Code.Unavailable, 'signalbox up'],
    [Code.Unauthenticated, 'SIGNALBOX_TOKEN'],
    [Code.PermissionDenied, 'role'],
    [Code.FailedPrecondition, 'signalbox revisions'],
  ])('says what to do about code %i', (code, advice) => {
    expect(apiFailure(new ConnectError('what happened', code)).message).toMatch(
      new RegExp(`^what happened\n.*${advice}`),
    );
  });

  it('shows control characters from the server instead of obeying them', () => {
    expect(apiFailure(new ConnectError('\u001b[2J', Code.Internal)).message).toBe('\\u001b[2J');
  });
});
