import { Failure } from '../failure.ts';

/** A remote server of a `server.json`, as a Backend can be one. */
export interface ImportedServer {
  /** As the file has it: `com.example/weather`. */
  readonly name: string;
  readonly version: string;
  readonly url: string;
  /** It speaks HTTP+SSE, and nothing newer. */
  readonly isHttpSse: boolean;
  /** What the server says that it can also be told, which is not carried; for people. */
  readonly notes: readonly string[];
}

interface Input {
  readonly value?: unknown;
  readonly default?: unknown;
  readonly isRequired?: unknown;
  readonly choices?: unknown;
}

interface Transport {
  readonly type?: unknown;
  readonly url?: unknown;
  readonly headers?: unknown;
  readonly variables?: unknown;
}

/**
 * Reads a `server.json` of the MCP Registry, or the answer of a registry that holds one.
 * @param variables values for the variables of its URL.
 * @throws Failure if it is none, or nothing in it can be reached over HTTP.
 */
export function readServerJson(text: string, file: string, variables: ReadonlyMap<string, string>): ImportedServer {
  const server = serverOf(text, file);
  const { name, version, remotes } = server;
  if (typeof name !== 'string' || !serverName.test(name)) {
    throw new Failure(`${file}: name must be <namespace>/<name>, such as com.example/weather`);
  }
  const transports = listOf(remotes) as readonly Transport[];
  const remote =
    transports.find(({ type }) => type === 'streamable-http') ?? transports.find(({ type }) => type === 'sse');
  if (!remote) throw new Failure(`${file}: ${whyNone(server)}`);
  return {
    ...{ name, version: typeof version === 'string' ? version : '' },
    url: urlOf(remote, file, variables),
    isHttpSse: remote.type === 'sse',
    notes: headerNotes(remote, file),
  };
}

const serverName = /^[a-zA-Z0-9.-]{1,100}\/[a-zA-Z0-9._-]{1,100}$/;

function serverOf(text: string, file: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new Failure(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isRecord(parsed)) throw new Failure(`${file} is not a server.json: expected an object`);
  return isRecord(parsed['server']) ? parsed['server'] : parsed;
}

/** What to do with a server that has no remote of the kind that there must be. */
function whyNone({ packages }: Readonly<Record<string, unknown>>): string {
  const [first] = listOf(packages) as readonly { readonly registryType?: unknown; readonly identifier?: unknown }[];
  if (first) {
    return `it is a package (${String(first.registryType)} ${String(first.identifier)}) to run by yourself: start it behind Streamable HTTP, and name that URL in a Backend`;
  }
  return 'it has no remotes: there is nothing to connect to';
}

function urlOf({ url, variables: declared }: Transport, file: string, given: ReadonlyMap<string, string>): string {
  if (typeof url !== 'string') throw new Failure(`${file}: the remote has no url`);
  const inputs = isRecord(declared) ? declared : {};
  const filled = url.replaceAll(/\{([a-zA-Z_][a-zA-Z0-9_]*)\}/g, (_whole, name: string) => {
    const input = (isRecord(inputs[name]) ? inputs[name] : {}) as Input;
    const value = textOf(input.value) ?? given.get(name) ?? textOf(input.default);
    if (value === undefined) throw new Failure(`${file}: the url needs a value for {${name}}: add --var ${name}=VALUE`);
    const choices = listOf(input.choices);
    if (choices.length > 0 && !choices.includes(value)) {
      throw new Failure(`${file}: {${name}} must be one of ${choices.join(', ')}`);
    }
    return value;
  });
  // What is printed is read by apply, which would put the reader's environment in its place.
  if (filled.includes('${'))
    throw new Failure(`${file}: the url has "\${" in it, which would stand for a variable of yours`);
  if (!/^https?:\/\//.test(filled) || !URL.canParse(filled))
    throw new Failure(`${file}: "${filled}" is not an http or https URL`);
  return filled;
}

function headerNotes({ headers }: Transport, file: string): readonly string[] {
  return (listOf(headers) as readonly (Input & { readonly name?: unknown })[]).map(({ name, isRequired }) => {
    if (isRequired === true) {
      throw new Failure(
        `${file}: the server needs the header ${String(name)}, and a Backend sends none: put a proxy that adds it between`,
      );
    }
    return `the header ${String(name)} that the server takes is not sent`;
  });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
