import type { JsonObject } from '@bufbuild/protobuf';
import type { ExplainResponse } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { adminClient, plain } from '../client/admin-client.ts';
import { usage } from '../failure.ts';
import { collect } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import type { Style } from '../output/style.ts';
import { type Cell, renderTable } from '../output/table.ts';
import { examples } from '../output/examples.ts';

interface ExplainOptions {
  readonly tenant?: string;
  readonly route: string;
  readonly tool?: string;
  readonly prompt?: string;
  readonly resource?: string;
  readonly path?: string;
  readonly method?: string;
  readonly header?: readonly string[];
  readonly operation?: string;
  readonly args?: string;
  readonly subject: string;
  readonly issuer?: string;
  readonly group?: readonly string[];
  readonly claim?: readonly string[];
  readonly output: Format;
}

const details = `
Reads the policies of the newest revision; no call is made, and no credential is checked.
Exit status: 0 whether the call would be allowed or not; -o json has "allowed".
`;

/** `explain`: which rule decides a call. */
export function explainCommand(cli: Cli): Command {
  return new Command('explain')
    .description('Show which rule decides a call, without making it.')
    .requiredOption('-r, --route <name>', 'route, or tenant/route')
    .option('-t, --tenant <name>', 'tenant of the route')
    .option('--tool <name>', 'tool that would be called')
    .option('--prompt <name>', 'prompt that would be read, in place of a tool')
    .option('--resource <uri>', 'resource that would be read, in place of a tool')
    .option('--path <path>', 'path that would be asked for on an HTTP or gRPC route')
    .option('--method <method>', 'HTTP method, with --path (default: GET)')
    .option('--header <name=value>', 'header field, with --path; may be repeated', collect)
    .option('--operation <name>', 'operation of an A2A agent, such as SendMessage or GetAgentCard')
    .option('--args <json>', 'arguments of the tool, a JSON object')
    .option('--subject <name>', 'who would call', 'anonymous')
    .option('--issuer <url>', 'issuer of the token, for a principal with a JWT')
    .option('--group <name>', 'group of the principal; may be repeated', collect)
    .option('--claim <name=value>', 'claim of the token, the value as JSON or text; may be repeated', collect)
    .addOption(outputOption())
    .addHelpText(
      'after',
      details +
        examples(
          ['signalbox explain --route demo/railway --tool list_departures --subject demo', ''],
          [`signalbox explain -r pay --tool pay --args '{"amount":90}' --group finance`, 'with arguments'],
          ['signalbox explain -r orders --path /acme/orders/17 --method DELETE', 'on an HTTP route'],
          ['signalbox explain -r crm --tool find --claim plan=pro --claim seats=5', 'with claims'],
        ),
    )
    .action((options: ExplainOptions) => explain(cli, options));
}

async function explain(cli: Cli, options: ExplainOptions): Promise<void> {
  const wanted = wantedCall(options);
  const args = options.args === undefined ? undefined : jsonObject(options.args);
  const claims = parseClaims(options.claim ?? []);
  const client = await adminClient(cli);
  const [route, tenant] = options.route.split('/').toReversed();
  const scope = scopeNamed(client.target, tenant ?? options.tenant);
  const response = await client.config.explain({
    scope,
    route: route ?? '',
    ...wanted,
    ...(args ? { arguments: args } : {}),
    principal: { subject: options.subject, groups: [...(options.group ?? [])], issuer: options.issuer ?? '', claims },
  });
  await emit(cli, options.output, {
    data: plain(response),
    table: (style) => renderExplanation(response, wanted.target, style),
  });
}

type CallOptions = Pick<
  ExplainOptions,
  'tool' | 'prompt' | 'resource' | 'args' | 'path' | 'method' | 'header' | 'operation'
>;

/** Method and target of the call that the options describe, and its header fields. */
export function wantedCall(options: CallOptions) {
  const calls = [
    { method: 'tools/call', target: options.tool },
    { method: 'prompts/get', target: options.prompt },
    { method: 'resources/read', target: options.resource },
    { method: options.method?.toUpperCase() ?? 'GET', target: options.path },
    { method: options.operation ?? '', target: options.operation },
  ].filter((call): call is { method: string; target: string } => call.target !== undefined);
  const [call, second] = calls;
  if (!call || second) throw usage('name one of --tool, --prompt, --resource, --path and --operation');
  if (options.args !== undefined && call.method !== 'tools/call') throw usage('--args goes with --tool');
  const ofHttp = options.method ?? options.header;
  if (ofHttp !== undefined && options.path === undefined) throw usage('--method and --header go with --path');
  return options.header === undefined ? call : { ...call, headers: parseHeaders(options.header) };
}

function parseHeaders(pairs: readonly string[]): Record<string, string> {
  const entries = pairs.map((pair) => {
    const split = pair.indexOf('=');
    if (split < 1) throw usage(`--header ${pair}: expected name=value`);
    return [pair.slice(0, split), pair.slice(split + 1)] as const;
  });
  return Object.fromEntries(entries);
}

/** `name=value` pairs; a value that is JSON counts as JSON, any other as text. */
export function parseClaims(pairs: readonly string[]): JsonObject {
  const entries = pairs.map((pair) => {
    const split = pair.indexOf('=');
    if (split < 1) throw usage(`--claim ${pair}: expected name=value`);
    return [pair.slice(0, split), jsonOrText(pair.slice(split + 1))] as const;
  });
  return Object.fromEntries(entries) as JsonObject;
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function jsonObject(text: string): JsonObject {
  const value = jsonOrText(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usage(`--args: expected a JSON object such as '{"station":"Leeds"}', got ${text}`);
  }
  return value as JsonObject;
}

function renderExplanation(response: ExplainResponse, target: string, style: Style): string {
  const verdict = response.allowed ? style.good('ALLOWED') : style.bad('DENIED');
  const by = response.rule ? `by ${response.rule}` : `: ${response.reason}`;
  const reason = response.rule && response.reason ? ` (${response.reason})` : '';
  const head = `${target} is ${verdict} ${by}${reason}, revision ${response.revision}\n`.replace(' : ', ': ');
  if (response.steps.length === 0) return head;
  const rows = response.steps.map((step): Cell[] => {
    const outcome: Cell = step.outcome === 'match' ? { text: step.outcome, as: 'strong' } : step.outcome;
    return [step.rule, step.effect, outcome, step.when, step.detail];
  });
  return `${head}\n${renderTable(['rule', 'effect', 'outcome', 'when', 'detail'], rows, style)}`;
}
