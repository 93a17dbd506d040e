import type { Server, Socket } from 'node:net';
import type { StateAnswer, StateRequest } from '../nodes/between-workers/state-messages.ts';

/** What goes with a message from process to process. */
export type Handle = Server | Socket;

/** From the supervisor to a worker. */
export type ToWorker =
  /** Gives up its listening sockets, and leaves when everybody is served. */
  | { readonly type: 'release' }
  /** With a listening socket: the worker that had it gives it up. */
  | { readonly type: 'socket'; readonly address: string }
  /** With a connection that came over such a socket on its way. */
  | { readonly type: 'connection'; readonly address: string }
  /** There are no more of them. */
  | { readonly type: 'given' }
  | { readonly type: 'state'; readonly state: StateAnswer };

/** From a worker to the supervisor. */
export type FromWorker =
  /** It has its configuration, and waits for the sockets that it is to be given. */
  | { readonly type: 'prepared' }
  /** It runs. */
  | { readonly type: 'up'; readonly node: string; readonly adminUrl: string }
  /** With a listening socket, for who takes its place. */
  | { readonly type: 'socket'; readonly address: string }
  /** It has given all that it had. */
  | { readonly type: 'released' }
  | { readonly type: 'state'; readonly state: StateRequest };

/** The way between a worker and its supervisor, seen from the worker. In order; nothing is lost while both live. */
export interface SupervisorChannel {
  /** Resolves when it was written, or cannot be any more. */
  send(message: FromWorker, handle?: Handle): Promise<void>;
  /** One listener. */
  onMessage(listener: (message: ToWorker, handle: Handle | undefined) => void): void;
}

/** A worker, seen from the supervisor. */
export interface WorkerProcess {
  readonly pid: number;
  /** Resolves when it was written, or cannot be any more. */
  send(message: ToWorker, handle?: Handle): Promise<void>;
  /** One listener. */
  onMessage(listener: (message: FromWorker, handle: Handle | undefined) => void): void;
  /** Resolves with how it ended, for people; never rejects. */
  readonly exited: Promise<string>;
  kill(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void;
}

/** Starts a worker with these variables and nothing else. It must not outlive this process. */
export type SpawnWorker = (environment: Readonly<Record<string, string | undefined>>) => Promise<WorkerProcess>;
