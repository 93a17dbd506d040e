import type { Random } from '@signalbox/runtime';
import { type McpAnswer, type McpStream, type Message, RawMcpClient } from '@signalbox/test-harness';
import type { Tally } from './tally.ts';

export interface SoakClientOptions {
  /** Unique: everything that it sends bears it. */
  readonly name: string;
  readonly era: 'legacy' | 'modern';
  readonly route: string;
  /** In front of names of tools. */
  readonly prefixes: readonly string[];
  /** URL of the route at a node that is there; another one when asked for. */
  readonly endpoint: () => string;
  readonly random: Random;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

const callsOfLife = 25;
const elicits = { elicitation: {} };

/** Lives again and again: begins, calls, is asked, listens, checks that all it gets is its own, and ends. */
export async function runClient(options: SoakClientOptions): Promise<void> {
  const { signal, era, tally } = options;
  for (let life = 1; !signal.aborted; life += 1) {
    try {
      if (era === 'legacy') await new LegacyLife(options, life).live();
      else await modernLife(options, life);
    } catch (error) {
      tally.lose(reasonOf(error));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Something went wrong as it may when a node goes. */
class Lost extends Error {}

class LegacyLife {
  readonly #options: SoakClientOptions;
  readonly #mark: string;
  #client: RawMcpClient;
  #stream: McpStream | undefined;

  constructor(options: SoakClientOptions, life: number) {
    this.#options = options;
    this.#mark = `${options.name}.${life}`;
    this.#client = new RawMcpClient({ url: options.endpoint(), token: 'soak-key' });
  }

  async live(): Promise<void> {
    const { tally, signal, prefixes, random } = this.#options;
    try {
      const begun = await this.#client.initialize({ capabilities: elicits });
      if (begun.status !== 200 || begun.message?.error) throw new Lost(`initialize: ${describe(begun)}`);
      tally.did('session');
      for (const prefix of prefixes) await this.#call(`${prefix}own`, this.#mark, this.#mark);
      await this.#listen();
      for (let at = 0; at < callsOfLife && !signal.aborted; at += 1) {
        const prefix = prefixes[at % prefixes.length] ?? '';
        const kind = random.fraction();
        const text = `${this.#mark}/${at}`;
        if (kind < 0.1) await this.#ask(`${prefix}ask`, text);
        else await this.#call(`${prefix}${kind < 0.25 ? 'slow' : 'echo'}`, text, text);
      }
      this.#check();
    } finally {
      await this.#end();
    }
  }

  async #listen(): Promise<void> {
    const answer = await this.#client.get();
    if (!answer.stream) throw new Lost(`GET: ${describe(answer)}`);
    this.#stream = answer.stream;
    this.#options.tally.did('stream');
  }

  /** What servers say unasked must be this session's. */
  #check(): void {
    const { tally } = this.#options;
    for (const { method, params } of this.#stream?.messages.items ?? []) {
      if (method !== 'notifications/message') continue;
      const data = String(params?.['data']);
      // Before its owner is known a session has an empty mark.
      if (data !== this.#mark && data !== '') tally.fault(`${this.#mark} heard what is for ${data}`);
      else tally.did('message');
    }
  }

  async #call(name: string, text: string, expected: string): Promise<void> {
    const answer = await this.#post(name, text);
    this.#expect(name, await lastOf(answer), expected);
    for (const { method, params } of answer.stream?.messages.items ?? []) {
      if (method === 'notifications/message' && params?.['data'] !== this.#mark && params?.['data'] !== '')
        this.#options.tally.fault(`${this.#mark} heard in a call what is for ${String(params?.['data'])}`);
    }
  }

  /** A question within a call, answered with what only this client can know. */
  async #ask(name: string, text: string): Promise<void> {
    const answer = await this.#post(name, text);
    const { stream } = answer;
    if (!stream) return this.#expect(name, answer.message ?? {}, 'a question');
    const isQuestion = ({ method }: Message): boolean => method === 'elicitation/create';
    const first = await comes(stream, (one) => isQuestion(one) || one.id !== undefined);
    if (!isQuestion(first)) return this.#expect(name, first, 'a question');
    const asked = String(first.params?.['message']);
    if (!asked.endsWith(text)) this.#options.tally.fault(`${text} was asked ${asked}`);
    await this.#client.post({
      jsonrpc: '2.0',
      id: first.id,
      result: { action: 'accept', content: { name: this.#mark } },
    });
    const last = await comes(stream, (one) => one.id !== undefined && !isQuestion(one));
    this.#expect(name, last, `${text}:${this.#mark}`);
  }

  #post(name: string, text: string): Promise<McpAnswer> {
    return this.#client.rpc('tools/call', { name, arguments: { text } });
  }

  #expect(name: string, message: Message, expected: string): void {
    expectText(this.#options, name, message, expected);
  }

  /** At whichever node is there: a session that nobody ends would be a leak of the client's. */
  async #end(): Promise<void> {
    const { session, version } = this.#client;
    this.#stream?.close();
    this.#client.close();
    if (session === undefined) return;
    for (let at = 0; at < 20; at += 1) {
      const client = new RawMcpClient({ url: this.#options.endpoint(), token: 'soak-key' });
      Object.assign(client, { session, version });
      const status = await client.delete().then(
        (answer) => answer.status,
        () => 0,
      );
      client.close();
      if (status === 204 || status === 404) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.#options.tally.fault('a session could not be ended');
  }
}

async function modernLife(options: SoakClientOptions, life: number): Promise<void> {
  const { prefixes, random, signal, tally } = options;
  const client = new RawMcpClient({ url: options.endpoint(), token: 'soak-key' });
  const mark = `${options.name}.${life}`;
  const _meta = { 'io.modelcontextprotocol/clientCapabilities': elicits };
  let listening: McpStream | undefined;
  try {
    const listen = await client.modern('subscriptions/listen', { notifications: { toolsListChanged: true } });
    if (!listen.stream) throw new Lost(`listen: ${describe(listen)}`);
    listening = listen.stream;
    tally.did('listen');
    for (let at = 0; at < callsOfLife && !signal.aborted; at += 1) {
      const prefix = prefixes[at % prefixes.length] ?? '';
      const text = `${mark}/${at}`;
      if (random.fraction() >= 0.1) {
        expectText(options, 'echo', await callModern(client, { name: `${prefix}echo`, arguments: { text } }), text);
        continue;
      }
      const call = { name: `${prefix}ask`, arguments: { text }, _meta };
      const { result, error } = await callModern(client, call);
      const keys = Object.keys((result?.['inputRequests'] as object | undefined) ?? {});
      if (error || keys.length !== 1) {
        expectText(options, 'ask', { ...(result && { result }), ...(error && { error }) }, 'a question');
        continue;
      }
      const inputResponses = { [String(keys[0])]: { action: 'accept', content: { name: mark } } };
      const requestState = result?.['requestState'];
      // At whichever node.
      const elsewhere = new RawMcpClient({ url: options.endpoint(), token: 'soak-key' });
      const last = await callModern(elsewhere, { ...call, inputResponses, requestState });
      elsewhere.close();
      expectText(options, 'ask', last, `${text}:${mark}`);
    }
  } finally {
    listening?.close();
    client.close();
  }
}

/** The answer of a call, in whichever form it comes. */
function lastOf({ message, stream }: McpAnswer): Promise<Message> {
  if (!stream) return Promise.resolve(message ?? {});
  return comes(stream, ({ id, method }) => id !== undefined && method === undefined);
}

/** A message, unless the stream ends before it comes. */
async function comes({ messages, ended }: McpStream, matches: (message: Message) => boolean): Promise<Message> {
  const found = messages.first('a message', matches);
  found.catch(() => undefined);
  await Promise.race([found, ended]);
  const message = messages.items.find(matches);
  if (!message) throw new Lost('a stream ended before its answer');
  return message;
}

async function callModern(client: RawMcpClient, params: Record<string, unknown>): Promise<Message> {
  return lastOf(await client.modern('tools/call', params));
}

/** An answer that is another one's is a fault; that there is none may be because of a restart. */
function expectText({ tally, route, era }: SoakClientOptions, name: string, message: Message, expected: string): void {
  const [block] = (message.result?.['content'] as { text?: string }[] | undefined) ?? [];
  if (block?.text === expected) return tally.did(`${era} ${route} ${name.replace(/^.*__/, '')}`);
  if (block) return tally.fault(`${expected} was answered ${String(block.text)}`);
  const { error } = message;
  throw new Lost(
    `${era} ${route}: ${error ? `${error.code} ${error.message}` : JSON.stringify(message).slice(0, 200)}`,
  );
}

function describe({ status, text, message }: McpAnswer): string {
  return `${status} ${message?.error?.message ?? text.slice(0, 100)}`;
}

function reasonOf(error: unknown): string {
  if (error instanceof Lost) return error.message;
  const { code, message } = error as { code?: string; message?: string };
  return code ?? (message ?? String(error)).split('\n')[0]?.slice(0, 120) ?? '';
}
