import { describe, expect, it } from 'vitest';
import { judgeReadiness, type ReadinessInput } from './readiness.ts';

const serving: ReadinessInput = {
  hasTable: true,
  draining: false,
  open: [{ name: 'http', host: '127.0.0.1', port: 8080 }],
  failed: [],
};

describe('a node', () => {
  it('is ready when it has a table and a listener', () => {
    expect(judgeReadiness(serving)).toEqual({ ready: true, reasons: [] });
  });

  it.each<[string, Partial<ReadinessInput>]>([
    ['is stopping', { draining: true }],
    ['has no table', { hasTable: false, open: [] }],
    ['has no listener', { open: [] }],
  ])('is not ready when it %s, and says so', (_state, change) => {
    const { ready, reasons } = judgeReadiness({ ...serving, ...change });
    expect(ready).toBe(false);
    expect(reasons).toHaveLength(1);
  });

  it('names a port that could not be opened, and is ready for the others', () => {
    const failed = [{ name: 'busy', address: '127.0.0.1:8081', error: 'in use' }];
    const { ready, reasons } = judgeReadiness({ ...serving, failed });
    expect(ready).toBe(true);
    expect(reasons).toEqual(['listener busy could not be opened on 127.0.0.1:8081: in use']);
  });
});
