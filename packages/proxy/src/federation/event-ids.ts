/** Where a client wants to go on: after an event of one call, or of the stream that all members share. */
export type ResumePoint =
  | { readonly kind: 'call'; readonly member: string; readonly id: string }
  | {
      readonly kind: 'shared';
      /** By member: the last event of its own stream that the client has seen. */
      readonly seen: ReadonlyMap<string, string>;
      /** Id under which the gateway has kept the event; undefined when it has not. */
      readonly kept: string | undefined;
    };

/** Id of an event on the stream of one call: names the member that keeps the events. */
export function callEventId(member: string, id: string): string {
  return `c.${member}.${encode(id)}`;
}

/**
 * Id of an event on the shared stream. It says where the gateway has kept it, and how far the client is with every member
 * that numbers its events: enough to go on where what was kept is not to be had. What does not fit is left out: of that member the client
 * may then miss something.
 *
 * @param seen by member, the member of this event last.
 * @param kept id under which the gateway keeps it.
 */
export function sharedEventId(seen: ReadonlyMap<string, string>, kept?: string): string {
  let id = kept === undefined ? 's' : `s.${keptKey}.${encode(kept)}`;
  for (const [member, last] of [...seen].toReversed()) {
    const part = `.${member}.${encode(last)}`;
    if (id.length + part.length <= maxIdLength) id += part;
  }
  return id;
}

/** @returns undefined for what is not an id of these. */
export function readEventId(id: string): ResumePoint | undefined {
  const [kind, ...parts] = id.split('.');
  if (parts.length === 0 || parts.length % 2 !== 0 || id.length > 2 * maxIdLength) return undefined;
  const seen = new Map<string, string>();
  for (let i = 0; i < parts.length; i += 2) seen.set(parts[i] as string, decode(parts[i + 1] as string));
  if (kind === 's') {
    const kept = seen.get(keptKey);
    seen.delete(keptKey);
    return { kind: 'shared', seen, kept };
  }
  const [only] = seen;
  return kind === 'c' && only && seen.size === 1 ? { kind: 'call', member: only[0], id: only[1] } : undefined;
}

/** No member is named so. */
const keptKey = '~';
/** Characters: clients send the id back as a header. */
const maxIdLength = 2_048;

function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}

function decode(text: string): string {
  return Buffer.from(text, 'base64url').toString('utf8');
}
