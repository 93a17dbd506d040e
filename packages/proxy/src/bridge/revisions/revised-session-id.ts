/** A session whose client and server speak different revisions, or whose server may send batches. */
export interface RevisedSession {
  /** Revision of the client. */
  readonly client: string;
  /** Revision of the server. */
  readonly server: string;
  /** The server's id of the session; empty when it keeps none. */
  readonly id: string;
}

const mark = 'sbv.';
const pattern = /^sbv\.(\d{4}-\d\d-\d\d)\.(\d{4}-\d\d-\d\d)\.(.*)$/;

/** The id says all that is needed, so any node can go on; it reaches clients only sealed in the gateway's own. */
export function revisedSessionId({ client, server, id }: RevisedSession): string {
  return `${mark}${client}.${server}.${id}`;
}

/** @returns undefined for ids of sessions where there is nothing to revise. */
export function readRevisedSessionId(session: string): RevisedSession | undefined {
  if (!session.startsWith(mark)) return undefined;
  const [, client, server, id] = pattern.exec(session) ?? [];
  return client === undefined || server === undefined || id === undefined ? undefined : { client, server, id };
}
