import { create } from '@bufbuild/protobuf';
import { DumpConfigResponseSchema } from '@signalbox/proto/signalbox/admin/v1/dump_service_pb.ts';
import { describe, expect, it } from 'vitest';
import { style } from '../output/style.ts';
import { renderDump } from './config-dump.ts';

const scopes = [{ scope: 'operator', revision: 3n }];

describe('a dump for people', () => {
  it('names what is sent, and the revisions that it is made of', () => {
    const resources = [
      { type: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: 'acme/tools', version: 'v1' },
    ];
    expect(renderDump(create(DumpConfigResponseSchema, { scopes, resources }), style(false))).toBe(
      'TYPE                             NAME        VERSION\n' +
        'envoy.config.cluster.v3.Cluster  acme/tools  v1\n' +
        'of operator@3\n',
    );
  });

  it('says why there may be nothing', () => {
    expect(renderDump(create(DumpConfigResponseSchema, { scopes }), style(false))).toContain('see spec.dataPlanes');
  });
});
