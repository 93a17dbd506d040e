import { arrayElements, memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import { headerAnnotationFault, mayHoldAnnotations } from '../../mcp/header-annotations.ts';
import { paramHeaderFields, ParamHeaders } from '../../mcp/param-headers.ts';
import { type Edit, splice } from '../../mcp/splice.ts';
import type { UpstreamError, UpstreamRequest } from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import type { ClientFacts } from './session.ts';
import { metaMembers, modernRequestHeaders } from './to-modern.ts';

/**
 * Headers that repeat arguments of tools, which legacy clients know nothing of: the gateway is the client here, and sends
 * them for what it has seen in lists. A tool whose annotations are wrong is left out, as a client of that era has to.
 */
export class ToolHeaders {
  readonly #context: BridgeContext;
  readonly #known: ParamHeaders;

  constructor(context: BridgeContext) {
    this.#context = context;
    this.#known = new ParamHeaders(context.limits);
  }

  /** Headers of a call: name, value, name, value … */
  of(request: UpstreamRequest, { bytes, method, name, args }: ScannedMessage): readonly string[] {
    if (method !== 'tools/call' || name === undefined) return [];
    return paramHeaderFields(this.#known.of(placeOf(request), name), bytes, args);
  }

  /** Looks at a list of tools. @returns the list as a legacy client may have it. */
  saw(request: UpstreamRequest, message: ScannedMessage): ScannedMessage {
    const { bytes, result } = message;
    const list = result && mayHoldAnnotations(bytes) ? memberValue(bytes, result, 'tools') : undefined;
    if (!list) return message;
    const tools = arrayElements(bytes, list);
    const sound = tools.filter((tool) => headerAnnotationFault(bytes, tool) === undefined);
    for (const tool of sound) {
      const name = memberValue(bytes, tool, 'name');
      const text = name && stringValue(bytes, name);
      if (text !== undefined) this.#known.saw(placeOf(request), text, bytes, tool);
    }
    if (sound.length === tools.length) return message;
    const kept = sound.map(({ start, end }) => bytes.toString('utf8', start, end));
    const edit: Edit = { ...list, text: `[${kept.join(',')}]` };
    return read(this.#context, splice(bytes, [edit])) ?? message;
  }

  /** Asks a server for its tools, page by page. @param onDone is called once, whatever came. */
  refresh(request: UpstreamRequest, facts: ClientFacts, onDone: () => void): void {
    this.#page({ request, facts, onDone }, undefined, 1);
  }

  #page(asked: Refresh, cursor: string | undefined, page: number): void {
    const { request, facts, onDone } = asked;
    const { upstream, random, limits } = this.#context;
    const from = cursor === undefined ? '' : `"cursor":${cursor},`;
    const params = `{${from}"_meta":{${metaMembers(facts)}}}`;
    const id = JSON.stringify(`sbh.${random.bytes(9).toString('base64url')}`);
    const listener: AnswerListener = {
      onMessage: () => undefined,
      onAnswer: (message) => {
        this.saw(request, message);
        const next = message.result && memberValue(message.bytes, message.result, 'nextCursor');
        const text = next && message.bytes.toString('utf8', next.start, next.end);
        if (text === undefined || page >= maxPages) onDone();
        else this.#page(asked, text, page + 1);
      },
      onOther: onDone,
      onBroken: (_: UpstreamError) => onDone(),
    };
    upstream.dispatch(
      {
        ...request,
        headers: modernRequestHeaders({ method: 'tools/list', name: undefined, uri: undefined }),
        body: Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"tools/list","params":${params}}`),
        safeToResend: true,
      },
      new ServerAnswer(listener, limits),
    );
  }
}

interface Refresh {
  readonly request: UpstreamRequest;
  readonly facts: ClientFacts;
  readonly onDone: () => void;
}

/** Clients of the public SDK stop there as well. */
const maxPages = 64;

function placeOf({ poolKey, origin, target }: UpstreamRequest): string {
  return `${poolKey}\n${origin}${target}`;
}

function read({ limits }: BridgeContext, bytes: Buffer): ScannedMessage | undefined {
  const scanned = scanBody(bytes, limits.responseScan);
  return scanned.kind === 'message' ? scanned.message : undefined;
}
