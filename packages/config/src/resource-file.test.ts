import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseResourceFile, withLocations } from './resource-file.ts';
import { decodeDocument } from './resource.ts';

/** Milliseconds for a property with many runs on a loaded machine. */
const slow = 30_000;

const text = `# routes
apiVersion: signalbox.dev/v1
kind: Route
metadata: { tenant: acme, name: assistant }
spec:
  gateway: default
  match:
    path: /acme/assistant
    headers:
      - name: x-a
        exact: "1"
      - name: x-b
---
apiVersion: signalbox.dev/v1
kind: Tenant
metadata:
  name: acme
spec:
  labels:
    a/b: x
`;

describe('a file of resources', () => {
  it('locates fields by their path, and missing ones by what would hold them', () => {
    const { documents } = parseResourceFile(text, { file: 'routes.yaml' });
    const [route, tenant] = documents;
    const lineOf = (field: string): number | undefined => route?.locate(field).line;
    expect(['', 'spec.match.path', 'spec.match.headers[1].name'].map(lineOf)).toEqual([2, 8, 12]);
    expect(['spec.match.headers[1].exact', 'spec.mcp.virtualServer', 'nothing', 'spec.gateway.x'].map(lineOf)).toEqual([
      12, 5, 2, 6,
    ]);
    expect(tenant?.locate('spec.labels["a/b"]')).toEqual({ file: 'routes.yaml', line: 20 });
  });

  it('gives problems found later their file and line', () => {
    const { documents } = parseResourceFile(text, { file: 'routes.yaml' });
    const problems = withLocations(
      documents.flatMap((document) => decodeDocument(document).problems),
      documents,
    );
    expect(problems.map(({ field, file, line }) => [field, file, line])).toEqual([
      ['spec.match.headers[1].exact', 'routes.yaml', 12],
      ['spec', 'routes.yaml', 5],
    ]);
  });

  it('leaves problems of other resources as they are', () => {
    const { documents } = parseResourceFile(text, { file: 'routes.yaml' });
    const problem = {
      severity: 'error',
      code: 'conflict',
      kind: 'Route',
      scope: 'other',
      name: 'assistant',
      field: '',
      message: '',
    } as const;
    expect(withLocations([problem], documents)).toEqual([problem]);
  });

  it('inserts variables as they are and never reads them again', () => {
    const source = backendWithUrl('http://${env:A}/${env:B}');
    const values: Record<string, string> = { A: '${env:B}', B: 'b$&' };
    const { documents } = parseResourceFile(source, { file: 'f', variables: (name) => values[name] });
    expect(documents[0]?.spec).toEqual({ mcp: { url: 'http://${env:B}/b$&' } });
  });

  it('refuses variables where none are given', () => {
    const { documents, problems } = parseResourceFile(backendWithUrl('http://${env:A}/'), { file: 'f' });
    expect([documents.length, problems.map(({ code, field, line }) => [code, field, line])]).toEqual([
      0,
      [['invalid-value', 'spec.mcp.url', 4]],
    ]);
  });

  it('bounds what aliases expand to', () => {
    const levels = Array.from(
      { length: 12 },
      (_, at) => `  a${at + 1}: &a${at + 1} [${'*a0, '.replace('a0', `a${at}`).repeat(9)}]`,
    );
    const bomb = `apiVersion: signalbox.dev/v1\nkind: Tenant\nmetadata: { name: x }\nspec:\n  a0: &a0 [x]\n${levels.join('\n')}\n`;
    expect(parseResourceFile(bomb, { file: 'f' }).problems.map(({ code }) => code)).toEqual(['limit-exceeded']);
  });

  describe('bounds nesting', () => {
    const deepest = 64;
    /** Values that hold one another, the first of them a value of `spec`: how `levels` of them are written. */
    const shapes: readonly [string, (levels: number) => string][] = [
      ['lists in brackets', (levels) => `${'['.repeat(levels)}${']'.repeat(levels)}`],
      ['lists that are never closed', (levels) => '['.repeat(levels)],
      ['mappings in braces', (levels) => `${'{a: '.repeat(levels)}${'}'.repeat(levels)}`],
      ['lists on one line', (levels) => `\n  ${'- '.repeat(levels)}x`],
      ['mappings by indentation', (levels) => indented('a:', Math.min(levels, 1_000))],
      ['keys of mappings', (levels) => `\n  ${'? '.repeat(levels)}x`],
    ];

    it.each(shapes)('of %s: one problem with its line, however deep and whatever stack is left', (_, write) => {
      for (const levels of [deepest + 1, 100, 10_000, 300_000]) {
        const read = () => parseResourceFile(`${head}spec: ${write(levels)}\nother: [\n`, { file: 'f' });
        const { documents, problems } = levels === 100 ? underFrames(4_000, read) : read();
        expect(documents).toEqual([]);
        expect(problems.map(({ code, message, file }) => [code, message, file])).toEqual([
          ['limit-exceeded', 'is nested more than 64 levels deep', 'f'],
        ]);
        expect(problems[0]?.line).toBeGreaterThan(3);
      }
    });

    it('but lets the deepest documents pass', () => {
      const deep = `${head}spec: ${'['.repeat(deepest)}${']'.repeat(deepest)}\n`;
      expect(parseResourceFile(deep, { file: 'f' })).toMatchObject({ documents: [{ name: 'x' }], problems: [] });
    });

    it('also of what aliases expand to', () => {
      const list = (levels: number, innermost: string) => `${'['.repeat(levels)}${innermost}${']'.repeat(levels)}`;
      const deep = `${head}spec:\n  a: &a ${list(40, '')}\n  b: ${list(40, '*a')}\n`;
      expect(parseResourceFile(deep, { file: 'f' }).problems).toMatchObject([{ code: 'limit-exceeded' }]);
    });
  });

  it(
    'never throws, whatever the text, and says where',
    () => {
      const token = fc.constantFrom(
        'apiVersion: signalbox.dev/v1\n',
        'kind: Tenant\n',
        'metadata: ',
        '{ name: x }\n',
        'spec: ',
        '[',
        ']',
        '{',
        '}',
        ': ',
        '- ',
        '\n',
        '  ',
        '---\n',
        '&a ',
        '*a ',
        '!!x ',
        '"',
        "'",
        '|\n',
        '? ',
        '<<',
        '#',
        '${env:',
        '%YAML 1.2\n',
        '\t',
        'null',
        '\u0000',
      );
      const anyText = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(token, { maxLength: 40 }).map((tokens) => tokens.join('')),
        fc.json(),
      );
      fc.assert(
        fc.property(anyText, (source) => {
          const { documents, problems } = parseResourceFile(source, { file: 'f' });
          expect(problems.every((problem) => problem.file === 'f' && (problem.line ?? 0) >= 1)).toBe(true);
          for (const document of documents) expect(decodeDocument(document)).toHaveProperty('problems');
        }),
        { numRuns: 200 },
      );
    },
    slow,
  );
});

const head = 'apiVersion: signalbox.dev/v1\nkind: Tenant\nmetadata: { name: x }\n';

function indented(line: string, levels: number): string {
  return Array.from({ length: levels }, (_, at) => `\n${' '.repeat(at + 1)}${line}`).join('');
}

function underFrames<T>(frames: number, run: () => T): T {
  return frames === 0 ? run() : underFrames(frames - 1, run);
}

function backendWithUrl(url: string): string {
  return `apiVersion: signalbox.dev/v1\nkind: Backend\nmetadata: { tenant: acme, name: x }\nspec: { mcp: { url: "${url}" } }\n`;
}
