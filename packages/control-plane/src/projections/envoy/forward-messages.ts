import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ForwardRouteEntry, HeaderChanges, RouteEntry } from '@signalbox/config';
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from '@signalbox/proto/envoy/config/core/v3/base_pb.ts';
import {
  type RetryPolicy,
  RetryPolicySchema,
  type Route,
  type RouteActionSchema,
  RouteSchema,
} from '@signalbox/proto/envoy/config/route/v3/route_components_pb.ts';
import { requestTimeoutMs } from '../call-bounds.ts';
import { milliseconds } from './pack.ts';
import { stringMatcher } from './permission.ts';
import { backendUpstream } from './upstream.ts';

/** What is the same for routes of all kinds. */
export type RouteParts = Pick<Route, 'typedPerFilterConfig'> & {
  readonly headers: NonNullable<Route['match']>['headers'];
};

/** Never upstream: credentials of the caller, and what callers say about the way here. */
const keptFromUpstream = ['authorization', 'cookie', 'proxy-authorization', 'forwarded'];
/** Never to callers, whose host and credentials are the gateway's. */
const keptFromClient = ['set-cookie', 'www-authenticate', 'alt-svc'];

/** Listeners are not encrypted. */
const forwarded: readonly (readonly [string, string])[] = [
  ['x-forwarded-for', '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%'],
  ['x-forwarded-proto', 'http'],
  ['x-forwarded-host', '%REQ(:AUTHORITY)%'],
];

/**
 * The message of a route of kind http or grpc, for its path and what is below. It is one, since Envoy counts calls by
 * message. Behind a base path with a slash at its end another slash would be too much.
 */
export function forwardMessage(entry: ForwardRouteEntry, parts: RouteParts): Route {
  const { endpoint, kind, backend } = entry;
  const match: PathSpecifier = { case: 'pathSeparatedPrefix', value: endpoint };
  if (kind === 'grpc') return messageOf(entry, parts, match, {});
  const { pathname } = new URL(backend.url);
  if (!pathname.endsWith('/')) return messageOf(entry, parts, match, { prefixRewrite: pathname });
  const pattern = { regex: `^${endpoint.replaceAll(/[.~]/g, '\\$&')}/?` };
  return messageOf(entry, parts, match, { regexRewrite: { pattern, substitution: pathname } });
}

type PathSpecifier = { readonly case: 'path' | 'pathSeparatedPrefix'; readonly value: string };
type Rewrite = Pick<MessageInitShape<typeof RouteActionSchema>, 'prefixRewrite' | 'regexRewrite'>;

/** A message of a route of another kind than mcp. */
export function messageOf(
  entry: ForwardRouteEntry,
  { headers, typedPerFilterConfig }: RouteParts,
  pathSpecifier: PathSpecifier,
  rewrite: Rewrite,
): Route {
  const { tenant, name, backend, forwarding } = entry;
  const { requestHeaders, responseHeaders, timeouts } = forwarding;
  const retryPolicy = retryOf(entry);
  return create(RouteSchema, {
    name: `${tenant}/${name}`,
    match: { pathSpecifier, headers },
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: backendUpstream(entry).cluster },
        ...rewrite,
        hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: new URL(backend.url).host },
        timeout: milliseconds(requestTimeoutMs(entry) ?? defaultMs),
        idleTimeout: milliseconds(timeouts.idleMs ?? defaultMs),
        ...(retryPolicy && { retryPolicy }),
      },
    },
    requestHeadersToAdd: [...forwarded.map((field) => option(field, true, false)), ...added(requestHeaders)],
    requestHeadersToRemove: [...keptFromUpstream, ...(requestHeaders?.remove ?? [])],
    responseHeadersToAdd: added(responseHeaders),
    responseHeadersToRemove: [...keptFromClient, ...(responseHeaders?.remove ?? [])],
    typedPerFilterConfig,
  });
}

/** An answer may be a stream: what our own proxy gives one unless it is told otherwise. */
const defaultMs = 3_600_000;

/** Also where nothing is retried: the time of one try is part of the policy. */
export function retryOf({ forwarding: { retry, timeouts } }: RouteEntry): RetryPolicy | undefined {
  // Nought is no limit.
  const backendRequestMs = timeouts.backendRequestMs || null;
  if (retry === null && backendRequestMs === null) return undefined;
  return create(RetryPolicySchema, {
    ...(backendRequestMs === null ? {} : { perTryTimeout: milliseconds(backendRequestMs) }),
    numRetries: retry?.attempts ?? 0,
    ...(retry && { retryOn: 'connect-failure,reset,retriable-status-codes' }),
    retriableStatusCodes: [...(retry?.codes ?? [])],
    retriableRequestHeaders: [
      {
        name: ':method',
        headerMatchSpecifier: { case: 'stringMatch', value: stringMatcher({ is: 'regex', text: 'GET|HEAD|OPTIONS' }) },
      },
    ],
  });
}

/** Header fields that are set or added. */
export function added(changes: HeaderChanges | null): HeaderValueOption[] {
  if (changes === null) return [];
  return [...changes.set.map((field) => option(field, true)), ...changes.add.map((field) => option(field, false))];
}

/** A percent sign begins a variable of Envoy, which texts of people must not. */
function option([key, value]: readonly [string, string], replaces: boolean, isText = true): HeaderValueOption {
  return create(HeaderValueOptionSchema, {
    header: { key, value: isText ? value.replaceAll('%', '%%') : value },
    appendAction: replaces ? AppendAction.OVERWRITE_IF_EXISTS_OR_ADD : AppendAction.APPEND_IF_EXISTS_OR_ADD,
  });
}
