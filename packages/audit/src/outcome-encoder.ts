import type { OutcomeEvent } from './event.ts';

/**
 * Writes outcome events as lines of JSON: the same text as `JSON.stringify`, at a third of its cost. What one caller does
 * on one route differs from event to event in a few members only; the bytes of the others are kept from the event before.
 */
export class OutcomeEncoder {
  #last: OutcomeEvent | undefined;
  #origin = '';
  #caller = '';
  #message = '';
  #decision = '';
  #kept: Buffer = Buffer.alloc(0);
  #out: Buffer = Buffer.allocUnsafeSlow(smallest);

  /** @returns a line for each event; valid until the next call. */
  encode(events: readonly OutcomeEvent[]): Buffer {
    let at = 0;
    for (const event of events) {
      this.#keep(event);
      const { id, at: time, durationMs, requestBytes, responseBytes, traceId, protocol, path } = event;
      const head = `{"type":"outcome","id":${quoted(id)},"at":${quoted(time)}`;
      let tail = `,"durationMs":${number(durationMs)},"requestBytes":${number(requestBytes)},"responseBytes":${number(responseBytes)},"traceId":${quoted(traceId)}`;
      if (protocol !== undefined) tail += `,"protocol":${quoted(protocol)}`;
      if (path !== undefined) tail += `,"path":${quoted(path)}`;
      tail += '}\n';
      this.#makeRoom(at, this.#kept.length + maxUtf8 * (head.length + tail.length));
      const out = this.#out;
      at += out.write(head, at);
      at += this.#kept.copy(out, at);
      at += out.write(tail, at);
    }
    return this.#out.subarray(0, at);
  }

  /** What is between the members that differ from event to event. */
  #keep(event: OutcomeEvent): void {
    const last = this.#last;
    this.#last = event;
    let isSame = true;
    if (!last || !sameOrigin(last, event)) {
      this.#origin = originOf(event);
      isSame = false;
    }
    if (!last || !sameCaller(last, event)) {
      this.#caller = callerOf(event);
      isSame = false;
    }
    if (!last || !sameMessage(last, event)) {
      this.#message = messageOf(event);
      isSame = false;
    }
    if (!last || !sameDecision(last, event)) {
      this.#decision = decisionOf(event);
      isSame = false;
    }
    if (!isSame) this.#kept = Buffer.from(this.#origin + this.#caller + this.#message + this.#decision);
  }

  #makeRoom(used: number, wanted: number): void {
    if (used + wanted <= this.#out.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, used + wanted));
    this.#out.copy(larger, 0, 0, used);
    this.#out = larger;
  }
}

const smallest = 65_536;
/** Bytes that one UTF-16 unit can take. */
const maxUtf8 = 3;

function sameOrigin(a: OutcomeEvent, b: OutcomeEvent): boolean {
  return (
    a.node === b.node &&
    a.tenant === b.tenant &&
    a.gateway === b.gateway &&
    a.route === b.route &&
    a.revision === b.revision
  );
}

function originOf({ node, tenant, gateway, route, revision }: OutcomeEvent): string {
  return `,"node":${quoted(node)},"tenant":${quoted(tenant)},"gateway":${quoted(gateway)},"route":${quoted(route)},"revision":${number(revision)}`;
}

function sameCaller(a: OutcomeEvent, b: OutcomeEvent): boolean {
  return a.principal === b.principal && a.session === b.session;
}

function callerOf({ principal, session }: OutcomeEvent): string {
  return `,"principal":${quoted(principal)},"session":${quoted(session)}`;
}

function sameMessage(a: OutcomeEvent, b: OutcomeEvent): boolean {
  return (
    a.tool === b.tool &&
    a.method === b.method &&
    a.backend === b.backend &&
    a.virtualServer === b.virtualServer &&
    a.era === b.era &&
    a.protocolVersion === b.protocolVersion
  );
}

function messageOf({ virtualServer, backend, era, protocolVersion, method, tool }: OutcomeEvent): string {
  return `,"virtualServer":${quoted(virtualServer)},"backend":${quoted(backend)},"era":${quoted(era)},"protocolVersion":${quoted(protocolVersion)},"method":${quoted(method)},"tool":${quoted(tool)}`;
}

function sameDecision(a: OutcomeEvent, b: OutcomeEvent): boolean {
  return a.decision === b.decision && a.rule === b.rule && a.status === b.status && a.error === b.error;
}

function decisionOf({ decision, rule, status, error }: OutcomeEvent): string {
  return `,"decision":${quoted(decision)},"rule":${quoted(rule)},"status":${number(status)},"error":${quoted(error)}`;
}

/** Text that stands for itself between quotes. */
const plain = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** JSON has no NaN and no infinity. */
function number(value: number): string {
  return Number.isFinite(value) ? String(value) : 'null';
}
