import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { PlainResource } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { envoyPlane } from './plane.ts';
import { readTables, summarize } from '../golden-tables.ts';
import { describeEnvoy } from './describe.ts';
import { envoyFamily } from './family.ts';
import { projectEnvoy } from './project.ts';

// Every testdata/<sentence>.in.yaml is compiled and projected; <sentence>.out.yaml is what Envoys of its gateways get.
// UPDATE_GOLDEN=1 rewrites the expectations; read the difference before committing it.
const folder = new URL('testdata/', import.meta.url);
const inputs = readdirSync(folder).filter((file) => file.endsWith('.in.yaml'));

describe('the projection for Envoy', () => {
  it.each(inputs.map((file) => [file.slice(0, -'.in.yaml'.length).replaceAll('-', ' '), file]))('%s', (_name, file) => {
    const output = new URL(file.replace('.in.yaml', '.out.yaml'), folder);
    const tables = readTables(readFileSync(new URL(file, folder), 'utf8'));
    const text = summarize(envoyPlane, tables, (gateway) =>
      projectEnvoy(gateway, tables.operator, tables.tenants).map(describeEnvoy),
    );
    // oxlint-disable-next-line no-restricted-properties
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(output, text);
    expect(text).toBe(readFileSync(output, 'utf8'));
  });

  it('gives equal bytes in whatever order tenants and resources come', () => {
    const file = new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder);
    const { operator, tenants } = readTables(readFileSync(file, 'utf8'));
    const reversed = readTables(readFileSync(file, 'utf8'), true);
    const bytes = (resources: readonly PlainResource[]) =>
      resources.map(({ typeUrl, name, version, body }) => [typeUrl, name, version, Buffer.from(body).toString('hex')]);
    const once = projectEnvoy('edge', operator, tenants);
    expect(once.length).toBeGreaterThan(3);
    expect(bytes(projectEnvoy('edge', reversed.operator, reversed.tenants.toReversed()))).toEqual(bytes(once));
  });

  it('sends its resources in the order of the family', () => {
    const { operator, tenants } = readTables(
      readFileSync(new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder), 'utf8'),
    );
    const order = envoyFamily.types.map(({ typeUrl }) => typeUrl);
    const sent = projectEnvoy('edge', operator, tenants).map(({ typeUrl }) => order.indexOf(typeUrl));
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(new Set(sent).size).toBe(order.length - 1);
  });

  it('is empty for a gateway that no Envoy serves', () => {
    const { operator, tenants } = readTables(
      readFileSync(new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder), 'utf8'),
    );
    expect(projectEnvoy('elsewhere', operator, tenants)).toEqual([]);
  });
});
