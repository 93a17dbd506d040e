import { join } from 'node:path';
import {
  compileOperator,
  compileTenant,
  decide,
  type DecisionInput,
  decodeDocument,
  makeSnapshot,
  type RouteEntry,
  type SourceDocument,
  type Subject,
  visibleTools,
} from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import { readResourceFiles } from '../input/resource-files.ts';
import { memoryCli } from '../testing/memory-cli.ts';

const folder = join(import.meta.dirname, '..', '..', '..', '..', 'deploy', 'demo');
const variables = {
  DEMO_KEY_SHA256: 'a'.repeat(64),
  DEMO_EVERYTHING_URL: 'http://127.0.0.1:7081/mcp',
  DEMO_RAILWAY_URL: 'http://127.0.0.1:7082/mcp',
};

function snapshotOf(scope: string, documents: readonly SourceDocument[]) {
  const stored = documents.map((document) => {
    const { resource, problems } = decodeDocument(document);
    if (!resource) throw new Error(JSON.stringify(problems));
    return resource.stored;
  });
  return makeSnapshot(scope, 1n, stored);
}

/** The demo's routes, compiled as a node compiles them. */
async function demoRoutes(): Promise<ReadonlyMap<string, RouteEntry>> {
  const [operator, demo] = await readResourceFiles(memoryCli(), [folder], variables);
  const { table, problems } = compileOperator(snapshotOf('operator', operator?.documents ?? []));
  expect(problems).toEqual([]);
  if (!table) throw new Error('no operator table');
  const tenant = compileTenant(snapshotOf('demo', demo?.documents ?? []), table);
  expect(tenant.problems).toEqual([]);
  return tenant.table?.routes ?? new Map();
}

const input: Omit<DecisionInput, 'subject'> = {
  principal: { id: 'api-key:demo', kind: 'api-key', subject: 'demo', issuer: '', groups: [], claims: new Map() },
  tenant: 'demo',
  backend: 'railway',
  mcp: { method: 'tools/call', era: 'modern', version: '2026-07-28' },
  request: { host: 'localhost', path: '/demo/railway/mcp' },
  session: '',
  nowMs: 0,
};

describe('deploy/demo', () => {
  it('has the endpoints that up prints, open to the demo key alone', async () => {
    const routes = await demoRoutes();
    expect([...routes.values()].map(({ endpoint }) => endpoint).toSorted()).toEqual([
      '/demo/everything/mcp',
      '/demo/railway/mcp',
    ]);
    for (const { authentication } of routes.values()) {
      expect([...authentication.apiKeys.keys()]).toEqual([variables.DEMO_KEY_SHA256]);
      expect(authentication.anonymous).toBeNull();
    }
  });

  it('shows deny by default: what no rule allows is not listed', async () => {
    const routes = await demoRoutes();
    const railway = routes.get('railway')?.authorization;
    const everything = routes.get('everything')?.authorization;
    if (!railway || !everything) throw new Error('routes are missing');
    expect(visibleTools(railway, input, ['list_departures', 'set_signal', 'cancel_train'])).toEqual([
      true,
      true,
      false,
    ]);
    expect(visibleTools(everything, input, ['echo', 'get-env'])).toEqual([true, false]);
  });

  it('reads the arguments of a call: everybody may stop a train, nobody may let one go', async () => {
    const railway = (await demoRoutes()).get('railway')?.authorization;
    const call = (aspect: string): Subject => {
      return {
        kind: 'tool',
        name: 'set_signal',
        args: new Map([
          ['signal', 'S1'],
          ['aspect', aspect],
        ]),
      };
    };
    if (!railway) throw new Error('the route is missing');
    expect(decide(railway, { ...input, subject: call('danger') })).toMatchObject({
      allowed: true,
      rule: 'policy/railway/anyone-may-stop-trains',
    });
    expect(decide(railway, { ...input, subject: call('clear') }).allowed).toBe(false);
  });
});
