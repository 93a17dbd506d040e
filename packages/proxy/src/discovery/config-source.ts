import { type FSWatcher, watch } from 'node:fs';
import { type Problem, type Snapshot, makeSnapshot, withLocations } from '@signalbox/config';
import { type Clock, Latest, type Logger, type Metrics } from '@signalbox/runtime';
import type { Activation } from './activation.ts';
import { type ConfigFilesLimits, readConfigFiles, signatureOf } from './config-files.ts';
import { describeProblem, readFileResources } from './file-resources.ts';

export interface ConfigSourceOptions {
  /** A file, or a folder of files. */
  readonly path: string;
  /** Gateway that is served. */
  readonly gateway: string;
  /** Value of `${env:NAME}` in the files. */
  readonly variables: (name: string) => string | undefined;
  readonly activation: Activation;
  readonly limits: ConfigFilesLimits;
  /** How long a change is left to settle before it is read, in milliseconds. */
  readonly debounceMs: number;
  /** How often to look whether something changed that no event told of, in milliseconds. */
  readonly pollMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** What became of the files when they were read last. */
export interface ConfigSourceState {
  /** How often they have been read with a new content. */
  readonly reads: number;
  /** Why that content is not served; empty when it is. */
  readonly problems: readonly string[];
}

/** The files cannot be served; the message has one line for each reason. */
export class ConfigFileError extends Error {
  readonly problems: readonly string[];

  constructor(path: string, problems: readonly string[]) {
    super(`${path} cannot be served:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigFileError';
    this.problems = problems;
  }
}

/**
 * Configuration from files, without a control plane. Read as one: either everything in them is served, or, when
 * anything is wrong, what was served before. Changes are served without a restart.
 */
export class ConfigSource {
  /** The last reading. */
  readonly state = new Latest<ConfigSourceState>({ reads: 0, problems: [] });
  readonly #options: ConfigSourceOptions;
  readonly #revisions = new Map<string, Snapshot>();
  readonly #applied;
  readonly #refused;
  #content = '';
  #signature = '';
  #watcher: FSWatcher | undefined;
  #poll: Disposable | undefined;
  #settling: Disposable | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(options: ConfigSourceOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#applied = metrics.counter(
      'signalbox_proxy_config_file_reloads_total',
      'Contents of the configuration files that became active.',
    );
    this.#refused = metrics.counter(
      'signalbox_proxy_config_file_refusals_total',
      'Contents of the configuration files that were refused.',
    );
  }

  /** Serves what the files say and watches them. @throws ConfigFileError when they cannot be served. */
  async start(): Promise<void> {
    await this.#read();
    const { problems } = this.state.value;
    if (problems.length > 0) throw new ConfigFileError(this.#options.path, problems);
    this.#watch();
  }

  /** Stops watching; resolves when nothing is being read. */
  async stop(): Promise<void> {
    this.#watcher?.close();
    this.#poll?.[Symbol.dispose]();
    this.#settling?.[Symbol.dispose]();
    await this.#reading;
  }

  #watch(): void {
    const { path, clock, pollMs, logger } = this.#options;
    try {
      this.#watcher = watch(path, { recursive: true }, () => this.#changed());
      this.#watcher.on('error', (error) =>
        logger.warn('configuration files are only polled', { error: String(error) }),
      );
    } catch (error) {
      logger.warn('configuration files are only polled', { error: String(error) });
    }
    this.#poll = clock.interval(pollMs, () => void this.#look());
  }

  /** Editors replace a file by renaming another over it, which ends what watches the old one: so look, too. */
  async #look(): Promise<void> {
    const signature = await signatureOf(this.#options.path, this.#options.limits).catch(String);
    if (signature !== this.#signature) this.#changed();
  }

  #changed(): void {
    this.#settling?.[Symbol.dispose]();
    this.#settling = this.#options.clock.timer(this.#options.debounceMs, () => {
      this.#reading = this.#reading.then(() => this.#read());
    });
  }

  /** A reading during which somebody wrote is not used: another one follows. */
  async #read(): Promise<void> {
    const { path, limits, logger } = this.#options;
    const reads = this.state.value.reads + 1;
    try {
      const signature = await signatureOf(path, limits).catch(String);
      const texts = await readConfigFiles(path, limits);
      this.#signature = await signatureOf(path, limits).catch(String);
      if (this.#signature !== signature) return this.#changed();
      const content = JSON.stringify(texts);
      if (content === this.#content) return;
      this.#content = content;
      const problems = await this.#apply(texts);
      if (this.#watcher || this.#poll)
        for (const problem of problems) logger.error('configuration refused', { problem });
      if (problems.length === 0) this.#applied.add();
      else this.#refused.add();
      this.state.set({ reads, problems });
    } catch (error) {
      this.#content = '';
      this.#refused.add();
      logger.error('configuration cannot be read', { path, error: String(error) });
      this.state.set({ reads, problems: [String(error)] });
    }
  }

  /** @returns what keeps the files from being served; empty when they are. */
  async #apply(texts: Parameters<typeof readFileResources>[0]): Promise<readonly string[]> {
    const { gateway, variables, activation } = this.#options;
    const { scopes, problems, documents } = readFileResources(texts, gateway, variables);
    const errors = problems.filter(isError);
    if (errors.length > 0) return errors.map(describeProblem);
    if (documents.length === 0) return ['there is no resource in it; whoever writes it may not be done'];
    const sets = new Map<string, Snapshot>();
    for (const [scope, resources] of scopes) {
      const set = this.#number(makeSnapshot(scope, 1n, resources));
      if (set !== activation.active(scope)) sets.set(scope, set);
    }
    const dropped = new Set(activation.scopes().filter((scope) => !scopes.has(scope)));
    const { activated, refused } = await activation.apply({ sets, dropped, allOrNothing: true });
    for (const snapshot of activated) {
      this.#revisions.set(snapshot.scope, snapshot);
      this.#options.logger.info('revision active', { scope: snapshot.scope, revision: String(snapshot.revision) });
    }
    return withLocations([...refused.values()].flat().filter(isError), documents).map(describeProblem);
  }

  /** Gives a set the next revision of its scope, or, when it is what is served, exactly that set. */
  #number(set: Snapshot): Snapshot {
    const previous = this.#revisions.get(set.scope);
    if (previous?.hash === set.hash) return previous;
    return previous ? { ...set, revision: previous.revision + 1n } : set;
  }
}

function isError(problem: Problem): boolean {
  return problem.severity === 'error';
}
