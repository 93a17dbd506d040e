import { type CelMap, celMap } from '@bufbuild/cel';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { DecisionInput } from './authorization.ts';

/** Fields of the variables that are records. */
export const records: ReadonlyMap<string, readonly string[]> = new Map([
  ['request', ['host', 'path']],
  ['principal', ['subject', 'issuer', 'kind', 'groups', 'claims']],
  ['tenant', ['name']],
  ['session', ['id']],
  ['mcp', ['method', 'era', 'version']],
  ['tool', ['name']],
  ['prompt', ['name']],
  ['resource', ['uri']],
  ['http', ['method', 'path', 'headers']],
  ['a2a', ['method', 'version']],
  ['backend', ['name']],
]);

/** The other variables: a map of anything, and a timestamp. */
export const values: ReadonlySet<string> = new Set(['args', 'now']);

/**
 * The variables of an expression for one decision, built when an expression first reads them. The names of the
 * accessors are the names of the variables; one that does not apply to the subject is undefined, which is an error to
 * an expression that reads it. Records are bound as maps: the interpreter would copy a plain object on every access.
 */
export class Variables {
  /** The question is whether some call of the tool may be allowed: there are no arguments yet. */
  readonly listing: boolean;
  readonly input: DecisionInput;
  #principal: CelMap | undefined;
  #args: CelMap | undefined;

  constructor(input: DecisionInput) {
    this.input = input;
    this.listing = input.subject.kind === 'tool' && input.subject.args === undefined;
  }

  get principal(): CelMap {
    if (this.#principal === undefined) {
      const { subject, issuer, kind, groups, claims } = this.input.principal;
      this.#principal = record({ subject, issuer, kind, groups, claims });
    }
    return this.#principal;
  }

  get args(): CelMap | undefined {
    const { subject } = this.input;
    if (subject.kind !== 'tool' || subject.args === undefined) return undefined;
    this.#args ??= celMap(subject.args as Parameters<typeof celMap>[0]);
    return this.#args;
  }

  get tool(): CelMap | undefined {
    const { subject } = this.input;
    return subject.kind === 'tool' ? record({ name: subject.name }) : undefined;
  }

  get prompt(): CelMap | undefined {
    const { subject } = this.input;
    return subject.kind === 'prompt' ? record({ name: subject.name }) : undefined;
  }

  get resource(): CelMap | undefined {
    const { subject } = this.input;
    return subject.kind === 'resource' ? record({ uri: subject.uri }) : undefined;
  }

  get http(): CelMap | undefined {
    const { subject } = this.input;
    if (subject.kind !== 'http') return undefined;
    const headers = celMap(subject.headers as Parameters<typeof celMap>[0]);
    return record({ method: subject.method, path: subject.path, headers });
  }

  get a2a(): CelMap | undefined {
    const { subject } = this.input;
    return subject.kind === 'a2a' ? record({ method: subject.method, version: subject.version }) : undefined;
  }

  get request(): CelMap {
    return record({ host: this.input.request.host, path: this.input.request.path });
  }

  get tenant(): CelMap {
    return record({ name: this.input.tenant });
  }

  get backend(): CelMap {
    return record({ name: this.input.backend });
  }

  get session(): CelMap {
    return record({ id: this.input.session });
  }

  /** While tools are listed the question is whether one may be called, so the method is that of a call. */
  get mcp(): CelMap | undefined {
    const { mcp } = this.input;
    if (mcp === null) return undefined;
    return record({ method: this.listing ? 'tools/call' : mcp.method, era: mcp.era, version: mcp.version });
  }

  get now(): object {
    return timestampFromMs(this.input.nowMs);
  }
}

function record(fields: Readonly<Record<string, unknown>>): CelMap {
  return celMap(new Map(Object.entries(fields)) as Parameters<typeof celMap>[0]);
}
