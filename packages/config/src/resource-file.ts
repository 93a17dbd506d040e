import type { JsonValue } from '@bufbuild/protobuf';
import { isMap, LineCounter, type Node } from 'yaml';
import { type Problem, ProblemList, type ProblemSubject } from './problem.ts';
import { duplicateProblem, type ResourceDocument, subjectOf } from './resource.ts';
import { childPath } from './resources/json-shape.ts';
import { quote } from './resources/name.ts';
import { findNode } from './resource-file/field-path.ts';
import { readYaml, type YamlDocument } from './resource-file/yaml-documents.ts';
import { maxDepth, tooDeep, toJsonValue } from './resource-file/yaml-value.ts';

/** A document of a file, with the places of its fields. */
export interface SourceDocument extends ResourceDocument {
  /** Where a field is written, such as `spec.members[0].backend`, or what would hold it; '' for the document. */
  locate(field: string): SourceLocation;
}

export interface SourceLocation {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

export interface ResourceFileOptions {
  /** Name of the file, for problems. */
  readonly file: string;
  /** Values of `${env:NAME}`; undefined refuses every reference. */
  readonly variables?: (name: string) => string | undefined;
}

export interface ResourceFile {
  /** The documents whose envelope is sound. */
  readonly documents: readonly SourceDocument[];
  readonly problems: readonly Problem[];
}

const apiVersion = 'signalbox.dev/v1';
/** Characters of a file. */
const maxFile = 16 * 1024 * 1024;

/** Reads a file of resources: YAML with one or more documents, or JSON. Never throws; problems say file and line. */
export function parseResourceFile(text: string, options: ResourceFileOptions): ResourceFile {
  const lines = new LineCounter();
  const file = new ProblemList({ kind: '', scope: '', name: '' });
  const lineOf = (offset: number): SourceLocation => ({
    file: options.file,
    line: Math.max(1, lines.linePos(Math.min(offset, text.length)).line),
  });
  const parsed = parseYaml(text, lines);
  if (parsed.refusal) {
    const { code, message, offset } = parsed.refusal;
    file.error(code, '', message);
    return { documents: [], problems: file.problems.map((problem) => ({ ...problem, ...lineOf(offset) })) };
  }
  const documents: SourceDocument[] = [];
  const problems: Problem[] = [];
  for (const document of parsed.documents) {
    const start = lineOf(document.contents?.range?.[0] ?? document.range[0]);
    if (document.errors.length > 0 || document.warnings.length > 0) {
      problems.push(...syntaxProblems(document, lineOf));
      continue;
    }
    if (document.contents === null || isEmpty(document)) continue;
    const locate = (field: string): SourceLocation => {
      const offset = field === '' ? undefined : findNode(document, field)?.range?.[0];
      return offset === undefined ? start : lineOf(offset);
    };
    const read = readDocument(document, options.variables);
    problems.push(...read.problems.map((problem) => ({ ...problem, ...locate(problem.field) })));
    if (read.document !== undefined) documents.push({ ...read.document, locate });
  }
  problems.push(...duplicates(documents));
  return { documents, problems };
}

/** The problems with file and line, where a document they are about is at hand. */
export function withLocations(problems: readonly Problem[], documents: readonly SourceDocument[]): Problem[] {
  const byKey = new Map<string, SourceDocument>();
  for (const document of documents) {
    const key = subjectKey(subjectOf(document));
    if (!byKey.has(key)) byKey.set(key, document);
  }
  return problems.map((problem) => {
    if (problem.file !== undefined) return problem;
    const document = byKey.get(subjectKey(problem));
    return document === undefined ? problem : { ...problem, ...document.locate(problem.field) };
  });
}

function subjectKey({ kind, scope, name }: ProblemSubject): string {
  return JSON.stringify([kind, scope, name]);
}

/** Why no document of a file is read, and where. */
interface FileRefusal {
  readonly code: Problem['code'];
  readonly message: string;
  readonly offset: number;
}

type ParsedFile =
  | { readonly refusal: FileRefusal }
  | { readonly refusal?: undefined; readonly documents: readonly YamlDocument[] };

function parseYaml(text: string, lineCounter: LineCounter): ParsedFile {
  if (text.length > maxFile) {
    const message = `the file has ${text.length} characters; at most ${maxFile} are allowed`;
    return { refusal: { code: 'limit-exceeded', message, offset: 0 } };
  }
  const { documents, tooDeepAt } = readYaml(text, lineCounter, maxDepth);
  if (tooDeepAt === undefined) return { documents };
  return { refusal: { code: 'limit-exceeded', message: tooDeep, offset: tooDeepAt } };
}

function isEmpty(document: YamlDocument): boolean {
  const contents: Node | null = document.contents;
  return contents !== null && 'value' in contents && contents.value === null;
}

function syntaxProblems(document: YamlDocument, lineOf: (offset: number) => SourceLocation): Problem[] {
  const found = new ProblemList({ kind: '', scope: '', name: '' });
  return [...document.errors, ...document.warnings].slice(0, 10).map((fault) => {
    found.error('syntax', '', `is not valid YAML or JSON: ${fault.message}`);
    return { ...(found.problems.at(-1) as Problem), ...lineOf(fault.pos[0]) };
  });
}

interface ReadDocument {
  readonly document?: ResourceDocument;
  readonly problems: readonly Problem[];
}

function readDocument(document: YamlDocument, variables: ResourceFileOptions['variables']): ReadDocument {
  const unnamed = new ProblemList({ kind: '', scope: '', name: '' });
  if (!isMap(document.contents)) {
    unnamed.error('syntax', '', 'a document must be a mapping with apiVersion, kind, metadata and spec');
    return { problems: unnamed.problems };
  }
  const faults: { code: Problem['code']; field: string; message: string }[] = [];
  const value = toJsonValue(document, variables, (code, field, message) => faults.push({ code, field, message }));
  const envelope = isObject(value) ? value : {};
  const metadata = isObject(envelope['metadata']) ? envelope['metadata'] : {};
  const resource: ResourceDocument = {
    kind: textOf(envelope['kind']),
    tenant: textOf(metadata['tenant']),
    name: textOf(metadata['name']),
    spec: envelope['spec'] ?? {},
  };
  const found = new ProblemList(subjectOf(resource));
  for (const { code, field, message } of faults) found.error(code, field, message);
  if (!found.refused) checkEnvelope(envelope, found);
  return found.refused ? { problems: found.problems } : { document: resource, problems: found.problems };
}

function checkEnvelope(envelope: Readonly<Record<string, JsonValue>>, found: ProblemList): void {
  checkKeys(envelope, '', ['apiVersion', 'kind', 'metadata', 'spec'], found);
  const version = envelope['apiVersion'];
  if (version === undefined) found.error('missing-field', 'apiVersion', `is required: ${apiVersion}`);
  else if (version !== apiVersion) {
    const given = typeof version === 'string' ? quote(version) : 'this value';
    found.error('invalid-value', 'apiVersion', `must be ${apiVersion}, not ${given}`);
  }
  checkText(envelope['kind'], 'kind', found);
  const metadata = envelope['metadata'];
  if (metadata === undefined) {
    found.error('missing-field', 'metadata', 'is required: {tenant, name}');
  } else if (!isObject(metadata)) {
    found.error('invalid-value', 'metadata', 'must be a mapping with tenant and name');
  } else {
    checkKeys(metadata, 'metadata', ['tenant', 'name'], found);
    checkText(metadata['name'], 'metadata.name', found);
    if (metadata['tenant'] !== undefined) checkText(metadata['tenant'], 'metadata.tenant', found);
  }
}

function checkKeys(
  value: Readonly<Record<string, JsonValue>>,
  field: string,
  known: readonly string[],
  found: ProblemList,
): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const path = field === '' ? childPath('', key).replace(/^\./, '') : childPath(field, key);
    found.error('unknown-field', path, `unknown field; known here: ${known.join(', ')}`);
  }
}

function checkText(value: JsonValue | undefined, field: string, found: ProblemList): void {
  if (value === undefined || value === '') found.error('missing-field', field, 'is required');
  else if (typeof value !== 'string') found.error('invalid-value', field, 'must be a string; put it in quotes');
}

function duplicates(documents: readonly SourceDocument[]): Problem[] {
  const seen = new Set<string>();
  return documents.flatMap((document) => {
    const key = subjectKey(subjectOf(document));
    if (seen.has(key)) return [{ ...duplicateProblem(document), ...document.locate('') }];
    seen.add(key);
    return [];
  });
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function isObject(value: JsonValue | undefined): value is Record<string, JsonValue> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
