import { fromBinary } from '@bufbuild/protobuf';
import { parsesForAgentgateway } from '@signalbox/control-plane/testing';
import {
  type Backend,
  type Bind,
  type Listener,
  type Policy,
  Protocol,
  type Resource,
  ResourceSchema,
  type Route,
} from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import { usableKeys } from './key-set.ts';

/** Why a resource was not taken, or only in part: `warn` means that it works, worse than written. */
export interface Reject {
  readonly key: string;
  readonly severity: 'error' | 'warn';
  readonly reason: string;
}

/** A resource as it comes in a response. */
export interface Update {
  readonly name: string;
  readonly body: Uint8Array;
}

/**
 * A model of what agentgateway does with its resources, as its documentation and source describe it: those of one response
 * in the order in which they are listed, then what goes; each by itself, so a response may be taken in part. Objects are
 * kept by key and dropped by name.
 */
export class AgentgatewayStore {
  readonly binds = new Map<string, Bind>();
  readonly listeners = new Map<string, Listener>();
  readonly routes = new Map<string, Route>();
  readonly backends = new Map<string, Backend>();
  readonly policies = new Map<string, Policy>();
  /** By name of the resource: the object that goes with it. */
  readonly #objects = new Map<string, { readonly kind: KindName; readonly key: string }>();
  /** What would go wrong there without anybody being told. */
  readonly complaints: string[] = [];

  apply(updates: readonly Update[], removed: readonly string[]): readonly Reject[] {
    const names = [...updates.map(({ name }) => name), ...removed];
    if (new Set(names).size < names.length) this.complaints.push(`a name twice in one response: ${names.join(' ')}`);
    const rejects = updates.flatMap((update) => this.#put(update));
    for (const name of removed) this.#remove(name);
    this.#complainOfDanglingReferences();
    return rejects;
  }

  /** Names of all that it has. */
  get names(): readonly string[] {
    return [...this.#objects.keys()].sort();
  }

  #put({ name, body }: Update): readonly Reject[] {
    const rejected = (reason: string): readonly Reject[] => [{ key: name, severity: 'error', reason }];
    let resource: Resource;
    try {
      resource = fromBinary(ResourceSchema, body);
    } catch (error) {
      return rejected(String(error));
    }
    const { kind } = resource;
    if (kind.case === undefined) return rejected('unknown resource');
    const fault = faultOf(kind);
    if (fault !== undefined) return rejected(fault);
    const { key } = kind.value;
    const known = this.#objects.get(name);
    if (known && (known.key !== key || known.kind !== kind.case))
      this.complaints.push(`${name} leaves ${known.key} behind`);
    this.#objects.set(name, { kind: kind.case, key });
    this.#complainOf(kind);
    (this.#of(kind.case) as Map<string, unknown>).set(key, kind.value);
    return warningsOf(kind).map((reason) => ({ key: name, severity: 'warn', reason }));
  }

  #remove(name: string): void {
    const known = this.#objects.get(name);
    if (!known) return;
    this.#objects.delete(name);
    this.#of(known.kind).delete(known.key);
  }

  #of(kind: KindName): Map<string, unknown> {
    const { binds, listeners, routes, backends, policies } = this;
    return { bind: binds, listener: listeners, route: routes, backend: backends, policy: policies }[kind];
  }

  #complainOf({ case: kind, value }: Resource['kind']): void {
    if (kind === 'route') {
      const known = this.routes.get(value.key);
      if (known && known.listenerKey !== value.listenerKey)
        this.complaints.push(`${value.key} stays with its old listener`);
      if (value.matches.length === 0) this.complaints.push(`${value.key} never matches`);
      if (value.backends.some(({ weight }) => weight < 1)) this.complaints.push(`${value.key} leads nowhere`);
      const kinds = value.trafficPolicies.map((policy) => policy.kind.case);
      if (new Set(kinds).size < kinds.length) this.complaints.push(`${value.key} has two policies of a kind`);
      if (
        !value.trafficPolicies.some(
          ({ kind: { case: of, value: rules } }) => of === 'authorization' && rules.allow.length > 0,
        )
      ) {
        this.complaints.push(`${value.key} lets everybody in`);
      }
    }
    if (kind === 'backend' && value.kind.case === 'mcp') {
      const rules = value.inlinePolicies.flatMap((policy) =>
        policy.kind.case === 'mcpAuthorization' ? policy.kind.value.allow : [],
      );
      if (rules.length === 0) this.complaints.push(`${value.key} allows everything`);
    }
  }

  #complainOfDanglingReferences(): void {
    const wanted = [
      ...[...this.routes.values()].flatMap(({ backends }) => backends.map(({ backend }) => backend?.kind.value)),
      ...[...this.backends.values()].flatMap(({ kind }) =>
        kind.case === 'mcp' ? kind.value.targets.map(({ backend }) => backend?.kind.value) : [],
      ),
    ];
    for (const key of wanted) {
      if (key === undefined || !this.backends.has(key)) this.complaints.push(`no backend ${key}`);
    }
    for (const { key, bindKey } of this.listeners.values()) {
      if (!this.binds.has(bindKey)) this.complaints.push(`listener ${key} has no port`);
    }
    const names = new Set([...this.routes.values()].map(({ name }) => `${name?.namespace}/${name?.name}`));
    for (const { key, target } of this.policies.values()) {
      const { namespace, name } = target?.kind.value ?? { namespace: '', name: '' };
      if (!names.has(`${namespace}/${name}`)) this.complaints.push(`policy ${key} applies to nothing`);
    }
    for (const { key, listenerKey } of this.routes.values()) {
      if (!this.listeners.has(listenerKey)) this.complaints.push(`route ${key} has no listener`);
    }
  }
}

type KindName = Kind['case'];
type Kind = Exclude<Resource['kind'], { readonly case: undefined }>;

/** Why it refuses a resource. */
function faultOf({ case: kind, value }: Kind): string | undefined {
  const missing = 'missing required field';
  switch (kind) {
    case 'bind':
      return undefined;
    case 'listener':
      if (value.protocol === Protocol.UNKNOWN) return 'unknown protocol';
      return value.name ? undefined : missing;
    case 'route':
      if (!value.name || value.trafficPolicies.some((policy) => policy.kind.case === undefined)) return missing;
      return value.matches.some(({ path }) => path && path.kind.case === undefined) ? 'invalid path match' : undefined;
    case 'policy':
      return value.target?.kind.case && value.kind.case && value.kind.value.kind.case ? undefined : missing;
    case 'backend': {
      if (!value.name || value.inlinePolicies.some((policy) => policy.kind.case === undefined)) return missing;
      if (value.kind.case === undefined) return 'unknown backend';
      const targets = value.kind.case === 'mcp' ? value.kind.value.targets : [];
      return targets.every(({ name }) => /^[a-z0-9.-]{1,253}$/.test(name)) ? undefined : 'invalid target name';
    }
  }
}

/** What it takes, but not as it is written. */
function warningsOf({ case: kind, value }: Kind): readonly string[] {
  if (kind === 'backend') {
    return value.inlinePolicies.flatMap((policy) =>
      policy.kind.case === 'mcpAuthorization'
        ? policy.kind.value.allow.filter((one) => !parsesForAgentgateway(one))
        : [],
    );
  }
  if (kind !== 'route') return [];
  return value.trafficPolicies.flatMap((policy) => {
    if (policy.kind.case === 'authorization')
      return [...policy.kind.value.require, ...policy.kind.value.allow].filter((one) => !parsesForAgentgateway(one));
    if (policy.kind.case !== 'jwt') return [];
    return policy.kind.value.providers
      .filter(({ jwksSource }) => usableKeys(jwksSource.value ?? '') === undefined)
      .map(({ issuer }) => `failed to create JWT provider ${issuer}`);
  });
}
