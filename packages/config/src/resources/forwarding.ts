import type {
  HeaderModifier,
  HeaderValue,
  RouteRetry,
  RouteTimeouts,
} from '@signalbox/proto/signalbox/config/v1/forwarding_pb.ts';
import type { ProblemList } from '../problem.ts';
import { durationFault, durationMs } from './duration.ts';
import { fieldNameFault, fieldValueFault } from './header.ts';
import { quote } from './name.ts';

const limits = { headers: 32, value: 4096, attempts: 10, codes: 16 };

/** Fields that belong to one connection, to the length of a body, or to the proxy itself. */
const fixed = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'host'],
  ...['content-length', 'content-encoding', 'expect', 'proxy-authenticate', 'proxy-authorization'],
]);
/** Fields whose values are secrets, which no resource holds. */
const credentials = new Set(['authorization', 'cookie', 'set-cookie']);

export function checkHeaderModifier(modifier: HeaderModifier, field: string, found: ProblemList): void {
  const { set, add, remove } = modifier;
  for (const [list, values] of [
    ['set', set],
    ['add', add],
  ] as const) {
    if (found.bounded(`${field}.${list}`, values, limits.headers)) checkValues(values, `${field}.${list}`, found);
  }
  found.checkEach(`${field}.remove`, remove, limits.headers, nameFaultOf);
  const named = [...set.map(({ name }) => name), ...remove].map((name) => name.toLowerCase());
  const gone = new Set(remove.map((name) => name.toLowerCase()));
  const twice =
    named.find((name, at) => named.indexOf(name) !== at) ??
    add.map(({ name }) => name.toLowerCase()).find((name) => gone.has(name));
  if (twice !== undefined) {
    found.error('duplicate', field, `${quote(twice)} is set or removed more than once, or added and removed`);
  }
}

/** Fields that MCP has words for are the gateway's on both sides of it. */
export function checkMcpHeaders({ set, add, remove }: HeaderModifier, field: string, found: ProblemList): void {
  for (const name of [...set.map((one) => one.name), ...add.map((one) => one.name), ...remove]) {
    const lower = name.toLowerCase();
    if (!lower.startsWith('mcp-') && !ofMcp.has(lower)) continue;
    found.error('invalid-value', field, `${quote(lower)} is a field of MCP, which routes of kind mcp do not change`);
  }
}

const ofMcp = new Set(['accept', 'content-type', 'last-event-id', 'www-authenticate']);

function checkValues(values: readonly HeaderValue[], field: string, found: ProblemList): void {
  for (const [at, { name, value }] of values.entries()) {
    found.require(`${field}[${at}].name`, name, (text) => nameFaultOf(text) ?? credentialFault(text));
    found.require(`${field}[${at}].value`, value, (text) => fieldValueFault(text, limits.value));
  }
}

function nameFaultOf(name: string): string | undefined {
  const lower = name.toLowerCase();
  return fieldNameFault(lower) ?? (fixed.has(lower) ? `${quote(lower)} cannot be changed` : undefined);
}

function credentialFault(name: string): string | undefined {
  if (!credentials.has(name.toLowerCase())) return undefined;
  return `${quote(name.toLowerCase())} carries a credential, which no resource may hold`;
}

export function checkTimeouts({ request, backendRequest, idle }: RouteTimeouts, found: ProblemList): void {
  found.check('spec.timeouts.request', durationFault(request));
  found.check('spec.timeouts.backendRequest', durationFault(backendRequest));
  found.check('spec.timeouts.idle', durationFault(idle));
  const [whole, one] = [durationMs(request), durationMs(backendRequest)];
  if (whole > 0 && one > whole) {
    found.error('invalid-value', 'spec.timeouts.backendRequest', 'must not be longer than spec.timeouts.request');
  }
}

export function checkRetry({ attempts, codes }: RouteRetry, found: ProblemList): void {
  if (attempts === 0) found.error('missing-field', 'spec.retry.attempts', 'is required: 1 to 10');
  else if (attempts > limits.attempts) found.error('invalid-value', 'spec.retry.attempts', 'must be from 1 to 10');
  if (!found.bounded('spec.retry.codes', codes, limits.codes)) return;
  for (const [at, code] of codes.entries()) {
    const field = `spec.retry.codes[${at}]`;
    if (code < 500 || code > 599) found.error('invalid-value', field, 'must be a status code from 500 to 599');
    else if (codes.indexOf(code) !== at) found.error('duplicate', field, 'is already listed');
  }
}
