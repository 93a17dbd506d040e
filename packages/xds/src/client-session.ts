/**
 * The node's end of one delta stream, without the stream: what happened goes in, what to send and what to hand to the
 * node comes out.
 *
 * 1. A stream begins with one request a type: what to subscribe to, everything unless told otherwise, with the versions
 *    that the node holds. Only the first names the node. Later requests change what is subscribed.
 * 2. Every response is answered once, by an ACK or by a NACK that names the refused resources.
 * 3. One response is handled at a time, in the order of arrival.
 * 4. A state lives as long as its stream: versions survive a reconnect, nonces do not.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { ResourceFault, ResourceUpdate, SubscriptionChange } from './client-handler.ts';
import { type ClientNode, nodeMessage } from './node.ts';
import { faultStatus } from './resource-fault.ts';

export interface ClientSession {
  readonly types: readonly string[];
  /** Responses not answered yet; the first is being handled. */
  readonly unanswered: readonly DeltaDiscoveryResponse[];
}

export type ClientEvent =
  | {
      readonly kind: 'opened';
      readonly node: ClientNode;
      /** Versions held by name, for each type. */
      readonly held: (typeUrl: string) => ReadonlyMap<string, string>;
      /** Names to subscribe to, for each type. */
      readonly names: (typeUrl: string) => readonly string[];
    }
  | { readonly kind: 'resubscribe'; readonly change: SubscriptionChange }
  | { readonly kind: 'response'; readonly response: DeltaDiscoveryResponse }
  | { readonly kind: 'handled'; readonly faults: readonly ResourceFault[] };

export type ClientEffect =
  | { readonly kind: 'send'; readonly request: DeltaDiscoveryRequest }
  /** Hand this to the node, and answer with a `handled` event. */
  | { readonly kind: 'deliver'; readonly update: ResourceUpdate }
  /** The server breaks the protocol: end the stream. */
  | { readonly kind: 'abort'; readonly reason: string };

export interface ClientStep {
  readonly session: ClientSession;
  readonly effects: readonly ClientEffect[];
}

/** The session of a stream that has just been opened, for these type URLs in the order in which they are requested. */
export function newClientSession(types: readonly string[]): ClientSession {
  return { types, unanswered: [] };
}

export function stepClient(session: ClientSession, event: ClientEvent): ClientStep {
  switch (event.kind) {
    case 'opened':
      return { session, effects: session.types.map((typeUrl, index) => firstRequest(event, typeUrl, index === 0)) };
    case 'resubscribe':
      return { session, effects: [changeRequest(event.change)] };
    case 'response':
      return receive(session, event.response);
    case 'handled':
      return answer(session, event.faults);
  }
}

type Opened = Extract<ClientEvent, { kind: 'opened' }>;

function firstRequest(event: Opened, typeUrl: string, namesNode: boolean): ClientEffect {
  const names = event.names(typeUrl);
  return send({
    ...(namesNode ? { node: nodeMessage(event.node) } : {}),
    typeUrl,
    // No names at all would mean everything.
    resourceNamesSubscribe: names.length > 0 ? [...names] : ['*'],
    resourceNamesUnsubscribe: names.length > 0 ? [] : ['*'],
    initialResourceVersions: Object.fromEntries(event.held(typeUrl)),
  });
}

function changeRequest({ typeUrl, subscribe, unsubscribe }: SubscriptionChange): ClientEffect {
  return send({ typeUrl, resourceNamesSubscribe: [...subscribe], resourceNamesUnsubscribe: [...unsubscribe] });
}

function receive(session: ClientSession, response: DeltaDiscoveryResponse): ClientStep {
  if (!session.types.includes(response.typeUrl)) {
    return { session, effects: [abort(`response of type "${response.typeUrl}", which was not requested`)] };
  }
  if (session.unanswered.some((waiting) => waiting.typeUrl === response.typeUrl)) {
    return { session, effects: [abort(`second response of type "${response.typeUrl}" before the first was answered`)] };
  }
  const unanswered = [...session.unanswered, response];
  return settle({ ...session, unanswered }, unanswered.length === 1);
}

function answer(session: ClientSession, faults: readonly ResourceFault[]): ClientStep {
  const [handled, ...unanswered] = session.unanswered;
  if (!handled) throw new Error('a response was answered that had not been received');
  const rest = settle({ ...session, unanswered }, true);
  return { session: rest.session, effects: [acknowledgement(handled, faults), ...rest.effects] };
}

/** Delivers the response at the head if it is new there; one that is malformed is refused without asking the node. */
function settle(session: ClientSession, isNewHead: boolean): ClientStep {
  const head = session.unanswered[0];
  if (!head || !isNewHead) return { session, effects: [] };
  const faults = malformed(head);
  if (faults.length > 0) return answer(session, faults);
  return { session, effects: [{ kind: 'deliver', update: updateOf(head) }] };
}

function malformed(response: DeltaDiscoveryResponse): ResourceFault[] {
  const seen = new Set<string>();
  const faults: ResourceFault[] = [];
  for (const { name, resource } of response.resources) {
    if (!resource) faults.push({ name, error: 'has no body' });
    else if (resource.typeUrl !== response.typeUrl) {
      faults.push({ name, error: `is of type "${resource.typeUrl}" in a response of type "${response.typeUrl}"` });
    }
    if (seen.has(name)) faults.push({ name, error: 'occurs twice in one response' });
    seen.add(name);
  }
  for (const name of response.removedResources) {
    if (seen.has(name)) faults.push({ name, error: 'is both updated and removed in one response' });
  }
  return faults;
}

function updateOf(response: DeltaDiscoveryResponse): ResourceUpdate {
  return {
    typeUrl: response.typeUrl,
    resources: response.resources.map(({ name, version, resource }) => ({
      name,
      version,
      typeUrl: response.typeUrl,
      // A copy: the bytes received are a view of the whole response, and would keep it in memory.
      body: resource ? new Uint8Array(resource.value) : new Uint8Array(),
    })),
    removed: response.removedResources,
  };
}

function acknowledgement(response: DeltaDiscoveryResponse, faults: readonly ResourceFault[]): ClientEffect {
  return send({
    typeUrl: response.typeUrl,
    responseNonce: response.nonce,
    ...(faults.length > 0 ? { errorDetail: faultStatus(faults) } : {}),
  });
}

function send(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): ClientEffect {
  return { kind: 'send', request: create(DeltaDiscoveryRequestSchema, request) };
}

function abort(reason: string): ClientEffect {
  return { kind: 'abort', reason };
}
