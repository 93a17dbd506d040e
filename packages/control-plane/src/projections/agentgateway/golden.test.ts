import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ResourceSchema } from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { readTables, summarize } from '../golden-tables.ts';
import { resourceType } from './family.ts';
import { agentgatewayPlane } from './plane.ts';
import { projectAgentgateway } from './project.ts';

// Every testdata/<sentence>.in.yaml is compiled and projected; <sentence>.out.yaml is what nodes of its gateways get.
// UPDATE_GOLDEN=1 rewrites the expectations; read the difference before committing it.
const folder = new URL('testdata/', import.meta.url);
const inputs = readdirSync(folder).filter((file) => file.endsWith('.in.yaml'));

describe('the projection for agentgateway', () => {
  it.each(inputs.map((file) => [file.slice(0, -'.in.yaml'.length).replaceAll('-', ' '), file]))('%s', (_name, file) => {
    const output = new URL(file.replace('.in.yaml', '.out.yaml'), folder);
    const tables = readTables(readFileSync(new URL(file, folder), 'utf8'));
    const text = summarize(agentgatewayPlane, tables, (gateway) =>
      projectAgentgateway(gateway, tables.operator, tables.tenants).map(describeResource),
    );
    // oxlint-disable-next-line no-restricted-properties
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(output, text);
    expect(text).toBe(readFileSync(output, 'utf8'));
  });

  it('gives equal bytes in whatever order tenants and resources come', () => {
    const text = readFileSync(new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder), 'utf8');
    const [{ operator, tenants }, reversed] = [readTables(text), readTables(text, true)];
    const bytes = (resources: readonly PlainResource[]) =>
      resources.map(({ name, version, body }) => [name, version, Buffer.from(body).toString('hex')]);
    const once = projectAgentgateway('edge', operator, tenants);
    expect(once.length).toBeGreaterThan(3);
    expect(bytes(projectAgentgateway('edge', reversed.operator, reversed.tenants.toReversed()))).toEqual(bytes(once));
  });

  it('is empty for a gateway that no agentgateway serves', () => {
    const text = readFileSync(new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder), 'utf8');
    const { operator, tenants } = readTables(text);
    expect(projectAgentgateway('elsewhere', operator, tenants)).toEqual([]);
  });
});

/** Each is named by its kind and key: agentgateway loses track of it otherwise. */
function describeResource({ typeUrl, name, body }: PlainResource): JsonValue {
  const message = fromBinary(ResourceSchema, body);
  expect([typeUrl, name]).toEqual([resourceType, `${message.kind.case}/${message.kind.value?.key}`]);
  return toJson(ResourceSchema, message);
}
