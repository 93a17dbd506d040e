import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface ForkOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly execArgv?: readonly string[];
}

/** A process of the benchmark that answers one message at a time. */
export class Forked<Request extends string | object, Answer extends object> implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ReturnType<typeof fork>;
  readonly #ended: Promise<unknown>;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param entry beside this file. */
  constructor(entry: string, { env = {}, execArgv = [] }: ForkOptions = {}) {
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
    const path = new URL(entry, import.meta.url).pathname;
    this.#child = fork(path, { stdio: [...stdio], env: { ...process.env, ...env }, execArgv: [...execArgv] });
    this.pid = this.#child.pid as number;
    this.#ended = once(this.#child, 'exit').catch(() => undefined);
  }

  /** What it says by itself. @throws when it ends first. */
  async next<A extends object = Answer>(): Promise<A> {
    const ended = this.#ended.then(() => {
      throw new Error('a process of the benchmark ended before it had answered; see above');
    });
    const [answer] = (await Promise.race([once(this.#child, 'message'), ended])) as [A | { readonly error: string }];
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }

  ask<A extends Answer>(request: Request): Promise<A> {
    const answer = this.#turn.then(async () => {
      const next = this.next<A>();
      this.#child.send(request);
      return next;
    });
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await this.#ended;
    clearTimeout(force);
  }
}
