import { describe, expect, it } from 'vitest';

import { readRepository } from './tidy/repository.ts';
import { rules } from './tidy/rules.ts';

/** What breaks each rule, as small as it can be: a rule that cannot fail protects nothing. */
const offences: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'every manifest stays inside the package graph': {
    'packages/proxy/package.json': '{ "dependencies": { "@signalbox/control-plane": "workspace:*" } }',
  },
  'tsconfig references say what the manifests say': {
    'packages/xds/package.json': '{ "dependencies": { "@signalbox/proto": "workspace:*" } }',
    'packages/xds/tsconfig.json': '{ "references": [{ "path": "../runtime" }] }',
  },
  'packages import only what they declare, never by path': {
    'packages/proxy/package.json': '{ "name": "@signalbox/proxy" }',
    'packages/proxy/src/a.ts': "import { x } from '@signalbox/config';\nimport { y } from '../../config/src/y.ts';",
  },
  'every declared package is imported': {
    'packages/proxy/package.json': '{ "dependencies": { "@signalbox/config": "workspace:*" } }',
  },
  'no file is longer than 600 lines': { 'packages/proxy/src/long.ts': '\n'.repeat(601) },
  'no file or folder has a name that says nothing': { 'packages/proxy/src/utils/time.ts': '' },
  'every setting stands on docs/settings.md, and nothing else does': {
    'packages/proxy/src/settings.ts': "text({ name: 'SIGNALBOX_NEW' })",
    'docs/settings.md': '| `SIGNALBOX_GONE` | |',
  },
  'every problem code stands on docs/problems.md, and nothing else does': {
    'packages/config/src/problem.ts': "export const problemCodes = [\n  'syntax',\n] as const;",
    'docs/problems.md': '## `gone`',
  },
  'every error code stands on docs/errors.md, and nothing else does': {
    'packages/proxy/src/mcp/errors.ts': "refusal('too_large', 413)",
    'docs/errors.md': '',
  },
  'xds names no resource kind': { 'packages/xds/src/a.ts': "const first = 'Route';" },
  'clock, timers, randomness, environment and console appear only in runtime and in main.ts': {
    'packages/proxy/src/a.ts': 'const at = Date.now();',
  },
  'only the bundled services and tests start processes': {
    'packages/proxy/src/a.ts': "import { spawn } from 'node:child_process';",
  },
  'config does no I/O': { 'packages/config/src/a.ts': "import { readFileSync } from 'node:fs';" },
  'exactly one assignment swaps the table': {
    'packages/proxy/src/table/current-table.ts': 'this.#present = a;\nthis.#present = b;',
    'packages/proxy/src/compose.ts': 'new CurrentTable()',
  },
  'no test sleeps': { 'test/e2e/src/a.test.ts': 'await new Promise((done) => setTimeout(done, 10));' },
  'nothing is left for later, and no test is left out in silence': { 'packages/proxy/src/a.test.ts': 'it.only()' },
  'a decision that code cites exists': { 'packages/proxy/src/a.ts': '// docs/rfd/0999' },
  'a package has no barrel but its entry points': { 'packages/proxy/src/mcp/index.ts': '' },
};

const repository = readRepository();

describe('the house rules', () => {
  it.each(rules)('$name', (rule) => {
    expect(rule.check(repository)).toEqual([]);
  });

  it.each(rules)('can be broken: $name', (rule) => {
    expect(rule.check(new Map(Object.entries(offences[rule.name] ?? {})))).not.toEqual([]);
  });
});
