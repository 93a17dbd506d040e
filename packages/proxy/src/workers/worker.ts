import { Server } from 'node:net';
import type { StateSeat } from '../nodes/between-workers/state-hub.ts';
import type { FromWorker, Handle, WorkerProcess } from './messages.ts';

/** A worker, as its supervisor knows it. */
export class Worker {
  readonly index: number;
  readonly process: WorkerProcess;
  /** Resolves when it runs; never, when it ends before. */
  readonly up: Promise<void>;
  /** Resolves when it has its configuration, and waits for sockets. */
  readonly prepared: Promise<'prepared'>;
  /** Resolves when it has given up all its sockets. */
  readonly released: Promise<void>;
  /** Where it says how it does, once it runs. */
  adminUrl: string | undefined;
  node = '';
  /** It ends because it was told to. */
  isLeaving = false;
  isGone = false;
  /** Takes the sockets that it gives up. */
  onSocket: (address: string, socket: Server) => Promise<void> = (_, socket) => {
    socket.close();
    return Promise.resolve();
  };
  readonly #seat: StateSeat;
  readonly #up = Promise.withResolvers<void>();
  readonly #prepared = Promise.withResolvers<'prepared'>();
  readonly #released = Promise.withResolvers<void>();
  #giving: Promise<void> = Promise.resolve();

  constructor(index: number, process: WorkerProcess, seat: StateSeat) {
    this.index = index;
    this.process = process;
    this.#seat = seat;
    this.up = this.#up.promise;
    this.prepared = this.#prepared.promise;
    this.released = this.#released.promise;
    process.onMessage((message, handle) => this.#take(message, handle));
  }

  gone(): void {
    this.isGone = true;
    this.#seat.leave();
  }

  #take(message: FromWorker, handle: Handle | undefined): void {
    switch (message.type) {
      case 'state':
        return this.#seat.take(message.state);
      case 'prepared':
        return this.#prepared.resolve('prepared');
      case 'up':
        this.adminUrl = message.adminUrl;
        this.node = message.node;
        return this.#up.resolve();
      case 'socket': {
        if (!(handle instanceof Server)) return;
        const given = this.onSocket(message.address, handle);
        this.#giving = this.#giving.then(() => given);
        return;
      }
      case 'released':
        return void this.#giving.then(() => this.#released.resolve());
    }
  }
}

/**
 * Takes the listening sockets of one worker to another through this process, so that they are never closed: what was not
 * accepted yet waits in them. A socket accepts from the moment at which it arrives anywhere, here too: such a connection
 * goes the same way.
 */
export async function giveSockets(from: Worker, to: Worker): Promise<void> {
  from.onSocket = async (address, socket) => {
    socket.on('connection', (connection) => void to.process.send({ type: 'connection', address }, connection));
    await to.process.send({ type: 'socket', address }, socket);
    socket.close();
  };
  void from.process.send({ type: 'release' });
  await Promise.race([from.released, from.process.exited]);
  await to.process.send({ type: 'given' });
}
