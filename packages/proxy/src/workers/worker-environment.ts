import { join, parse } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

interface WorkerPlace {
  readonly index: number;
  /** Name of the whole, of which each worker's is made. */
  readonly nodeId: string;
  /** State folder of the whole. */
  readonly stateFolder: string;
  /** Text of SIGNALBOX_SESSION_KEYS: one for all, so that each opens the sessions of every other. */
  readonly sessionKeys: string;
}

/**
 * The variables of one worker: a node of its own, with a name, a state folder, a file of events and an admin port of its
 * own, and the rest as given.
 */
export function workerEnvironment(given: Environment, place: WorkerPlace): Environment {
  const { index, nodeId, stateFolder, sessionKeys } = place;
  const events = given['SIGNALBOX_PROXY_EVENTS_FILE'] ?? '';
  return {
    ...given,
    SIGNALBOX_PROXY_WORKERS: '',
    SIGNALBOX_PROXY_NODE_ID: workerNodeId(nodeId, index),
    SIGNALBOX_PROXY_STATE: workerFolder(stateFolder, index),
    SIGNALBOX_PROXY_ADMIN_LISTEN: '127.0.0.1:0',
    SIGNALBOX_PROXY_EVENTS_FILE: events === '' ? '' : eventsFileOf(events, index),
    SIGNALBOX_SESSION_KEYS: sessionKeys,
  };
}

function workerNodeId(nodeId: string, index: number): string {
  return `${nodeId}-w${index}`;
}

export function workerFolder(stateFolder: string, index: number): string {
  return join(stateFolder, `worker-${index}`);
}

/** `events.jsonl` → `events.w1.jsonl`: files are written and put aside by one process each. */
function eventsFileOf(path: string, index: number): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}.w${index}${ext}`);
}
