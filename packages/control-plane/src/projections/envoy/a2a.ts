import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { a2aOperations, type ForwardRouteEntry, pushConfigurations } from '@signalbox/config';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from '@signalbox/proto/envoy/config/core/v3/base_pb.ts';
import type { Route } from '@signalbox/proto/envoy/config/route/v3/route_components_pb.ts';
import { HeaderMutationPerRouteSchema } from '@signalbox/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import { Mcp_TrafficMode, McpOverrideSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp/v3/mcp_pb.ts';
import { messageOf, type RouteParts } from './forward-messages.ts';
import { all, any, type Formula, not, type Option, value } from '../conditions/formula.ts';
import type { EnvoyOptions } from './options.ts';
import { pack } from './pack.ts';

// Envoy has a filter for A2A, which takes messages with repeated keys, and batches. So A2A goes through the one for MCP: it reads any
// JSON-RPC request, strictly, if the request accepts what MCP answers with.

const versionHeader = 'a2a-version';

/** Whether a request is of a version, as our own proxy reads it. A version in the query is not seen: then there must be none. */
const versions: Readonly<Record<'1.0' | '0.3', Formula>> = {
  '1.0': header({ is: 'regex', text: '1\\.0(?:\\.\\d{1,3})?' }),
  '0.3': any([
    header({ is: 'regex', text: '(?:0\\.3(?:\\.\\d{1,3})?)?' }),
    all([not(header('present')), not({ kind: 'header', name: ':path', match: { is: 'contains', text: '?' } })]),
  ]),
};

function header(match: Extract<Formula, { kind: 'header' }>['match']): Formula {
  return { kind: 'header', name: versionHeader, match };
}

/** What `a2a.version` can be, and when. */
export const versionOptions: readonly Option[] = [
  { text: '1.0', when: versions['1.0'] },
  { text: '0.3', when: versions['0.3'] },
];

const carried = a2aOperations.filter((operation) => operation.carried === 'yes');

/** What `a2a.method` can be, and when. */
export const operationOptions: readonly Option[] = carried.map(({ name, older }) => ({
  text: name,
  when: any([
    all([versions['1.0'], method(name)]),
    ...(older === undefined ? [] : [all([versions['0.3'], method(older)])]),
  ]),
}));

function method(text: string): Formula {
  return value('mcp', ['method'], { is: 'exact', text });
}

/** One request of an operation that is carried, with an id, that asks for no push notifications. */
export const isCarriedRequest: Formula = all([
  { kind: 'header', name: ':method', match: { is: 'exact', text: 'POST' } },
  any(operationOptions.map(({ when }) => when)),
  any([value('mcp', ['id'], { is: 'any-text' }), value('mcp', ['id'], { is: 'any-number' })]),
  ...pushConfigurations.map((name) => {
    const at = (is: 'present' | 'null'): Formula => value('mcp', ['params', 'configuration', name], { is });
    return any([not(at('present')), at('null')]);
  }),
]);

/** The JSON-RPC endpoint of an agent; its card is not served, since nobody could rewrite it. */
export function a2aMessage(entry: ForwardRouteEntry, parts: RouteParts): Route {
  const { pathname } = new URL(entry.backend.url);
  return messageOf(entry, parts, { case: 'path', value: entry.endpoint }, { prefixRewrite: pathname });
}

/** How the filter for MCP reads requests of an agent. */
export function strictJsonRpc({ maxMessageBytes }: EnvoyOptions): Any {
  const extractionRules = pushConfigurations.map((name) => ({ path: `params.configuration.${name}` }));
  const sending = carried.filter(({ name }) => name === 'SendMessage' || name === 'SendStreamingMessage');
  const methods = sending.flatMap(({ name, older }) => (older === undefined ? [name] : [name, older]));
  return pack(McpOverrideSchema, {
    trafficMode: Mcp_TrafficMode.REJECT_NO_MCP,
    rejectDuplicateKeys: true,
    maxRequestBodySize: maxMessageBytes,
    parserConfig: { methods: methods.map((name) => ({ method: name, extractionRules })) },
  });
}

/** Agents answer by the operation, whatever a request accepts. */
export const acceptsAll: Any = pack(HeaderMutationPerRouteSchema, {
  mutations: {
    requestMutations: [
      {
        action: {
          case: 'append',
          value: create(HeaderValueOptionSchema, {
            header: { key: 'accept', value: 'application/json, text/event-stream' },
            appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
          }),
        },
      },
    ],
  },
});
