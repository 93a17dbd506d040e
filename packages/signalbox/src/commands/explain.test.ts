import { describe, expect, it } from 'vitest';
import { parseClaims, wantedCall } from './explain.ts';

describe('wantedCall', () => {
  it('is the one of tool, prompt and resource that is named', () => {
    expect(wantedCall({ tool: 'echo' })).toEqual({ method: 'tools/call', target: 'echo' });
    expect(wantedCall({ resource: 'railway://signals' })).toEqual({
      method: 'resources/read',
      target: 'railway://signals',
    });
  });

  it('is a request of an HTTP route, or an operation of an agent', () => {
    expect(wantedCall({ path: '/acme/orders' })).toEqual({ method: 'GET', target: '/acme/orders' });
    expect(wantedCall({ path: '/a', method: 'delete', header: ['x-a=1=2'] })).toEqual({
      ...{ method: 'DELETE', target: '/a', headers: { 'x-a': '1=2' } },
    });
    expect(wantedCall({ operation: 'GetTask' })).toEqual({ method: 'GetTask', target: 'GetTask' });
    expect(() => wantedCall({ tool: 'a', method: 'GET' })).toThrow('go with --path');
    expect(() => wantedCall({ path: '/a', header: ['x'] })).toThrow('expected name=value');
  });

  it('refuses none, two, and arguments without a tool', () => {
    expect(() => wantedCall({})).toThrow('name one of');
    expect(() => wantedCall({ tool: 'a', prompt: 'b' })).toThrow('name one of');
    expect(() => wantedCall({ prompt: 'b', args: '{}' })).toThrow('--args goes with --tool');
  });
});

describe('parseClaims', () => {
  it('reads JSON as JSON and everything else as text', () => {
    expect(parseClaims(['seats=5', 'plan=pro', 'roles=["a"]', 'equation=a=b'])).toEqual({
      seats: 5,
      plan: 'pro',
      roles: ['a'],
      equation: 'a=b',
    });
  });

  it('refuses a claim without a name', () => {
    expect(() => parseClaims(['=x'])).toThrow('expected name=value');
  });
});
