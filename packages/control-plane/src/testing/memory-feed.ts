import { digestOf, type Kind, operatorScope, type StoredResource } from '@signalbox/config';
import type {
  ChangeFeed,
  ChangeListener,
  CommittedRevision,
  CommittedScope,
  StagedScope,
} from '../store/change-feed.ts';

/** Texts of resources by `<Kind>/<name>`; null deletes. */
export type Texts = Readonly<Record<string, string | null>>;

/** A resource whose body is a text: publishing never looks into it. */
export function storedText(kind: Kind, name: string, text: string): StoredResource {
  const body = Buffer.from(text);
  return { kind, name, body, digest: digestOf(body) };
}

/** What was committed, in memory. Commits before `start` are loaded, later ones follow at once. */
export class MemoryFeed implements ChangeFeed {
  readonly #scopes = new Map<string, CommittedScope>();
  #listener: ChangeListener | undefined;
  /** Time of the next commits, in milliseconds since the epoch. */
  nowMs = 0;

  constructor() {
    this.#scopes.set(operatorScope, {
      scope: operatorScope,
      revision: 0n,
      committedAtMs: 0,
      removalsConfirmed: 0n,
      resources: [],
    });
  }

  async start(listener: ChangeListener): Promise<void> {
    listener.loaded([...this.#scopes.values()]);
    this.#listener = listener;
  }

  kick(): void {}

  async stop(): Promise<void> {
    this.#listener = undefined;
  }

  /** Commits one revision. @returns it. */
  commit(scope: string, texts: Texts): bigint {
    const revision = this.prepare(scope, texts);
    this.deliver([revision]);
    return revision.revision;
  }

  /** Makes a tenant by its resource in the operator's scope. */
  addTenant(name: string): void {
    this.commit(operatorScope, { [`Tenant/${name}`]: 'a tenant' });
  }

  /** A revision as the listener will be told of it. */
  prepare(scope: string, texts: Texts): CommittedRevision {
    const before = this.#scopes.get(scope);
    const revision = (before?.revision ?? 0n) + 1n;
    const changes = Object.entries(texts).map(([key, text]) => {
      const [kind, name] = key.split('/') as [Kind, string];
      return { kind, name, resource: text === null ? null : storedText(kind, name, text) };
    });
    const resources = new Map(before?.resources.map((resource) => [`${resource.kind}/${resource.name}`, resource]));
    for (const { kind, name, resource } of changes) {
      if (resource) resources.set(`${kind}/${name}`, resource);
      else resources.delete(`${kind}/${name}`);
    }
    const committedAtMs = this.nowMs;
    const head = { scope, revision, committedAtMs, removalsConfirmed: 0n };
    this.#scopes.set(scope, { ...head, resources: [...resources.values()] });
    return { ...head, changes };
  }

  deliver(revisions: readonly CommittedRevision[], staged?: readonly StagedScope[]): void {
    this.#listener?.committed(revisions, staged);
  }

  /** Whether the listener says that it has a state. */
  isHeld(scope: string, revision: bigint): boolean {
    return this.#listener?.holds?.(scope, revision) ?? false;
  }
}
