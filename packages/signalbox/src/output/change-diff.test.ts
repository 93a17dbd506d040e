import { create } from '@bufbuild/protobuf';
import { Change_Operation, ChangeSchema } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { describe, expect, it } from 'vitest';
import { renderChanges, summariseChanges } from './change-diff.ts';
import { style } from './style.ts';

const update = create(ChangeSchema, {
  operation: Change_Operation.UPDATE,
  kind: 'Backend',
  name: 'weather',
  before: { mcp: { url: 'http://a/mcp' } },
  after: { mcp: { url: 'http://b/mcp' } },
});
const deletion = create(ChangeSchema, {
  operation: Change_Operation.DELETE,
  kind: 'Route',
  name: 'old',
  before: { gateway: 'default' },
});

describe('renderChanges', () => {
  it('shows a heading a resource and the lines of YAML that differ', () => {
    expect(renderChanges('acme', [update, deletion], style(false))).toBe(
      [
        '~ Backend acme/weather',
        '    mcp:',
        '  -   url: http://a/mcp',
        '  +   url: http://b/mcp',
        '- Route acme/old',
        '  - gateway: default',
        '',
      ].join('\n'),
    );
  });

  it('colours only when asked to', () => {
    expect(renderChanges('acme', [deletion], style(true))).toContain('\u001b[31m- Route acme/old');
  });
});

describe('summariseChanges', () => {
  it('counts by operation', () => {
    expect(summariseChanges([update, deletion, deletion])).toBe('1 changed, 2 deleted');
    expect(summariseChanges([])).toBe('no changes');
  });
});
