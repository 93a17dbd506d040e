import { memberValue, objectMembers, stringValue } from '../json/members.ts';
import type { ScannedBody, ScannedMessage, Span } from '../json/message.ts';
import { isModernVersion, metaKeys, modernCodec } from './codec/rev2026-07-28.ts';
import { type ErrorDetail, type Refusal, refusals } from './errors.ts';
import { decodeHeaderValue } from './header-value.ts';

/** The headers that the door compares with the body. */
export interface DoorHeaders {
  /** `MCP-Protocol-Version`. */
  readonly version: string | undefined;
  /** `Mcp-Method`. */
  readonly method: string | undefined;
  /** `Mcp-Name`. */
  readonly name: string | undefined;
}

/** What a POST is, or the exact error for it. */
export type Classified =
  | { readonly kind: 'legacy'; readonly message: 'initialize' | 'request' | 'notification' | 'response' }
  | { readonly kind: 'legacy-batch' }
  | { readonly kind: 'modern'; readonly message: 'request' | 'notification'; readonly version: string }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly detail: ErrorDetail };

/**
 * Rungs 2 to 6 of the door ladder for a POST: body first, headers only as a cross-check, the
 * earlier rung wins. Pure and total. Whether the method exists and policy allows it comes later.
 */
export function classify(headers: DoorHeaders, body: ScannedBody): Classified {
  switch (body.kind) {
    case 'fault':
      if (body.fault.fault === 'batch-too-long') return refuse(refusals.batch, { message: 'The batch is too long' });
      return refuse(refusals.notJson, { data: { fault: body.fault.fault, at: body.fault.at } });
    case 'not-a-message':
      return refuse(refusals.notAMessage);
    case 'batch':
      return classifyBatch(body.items);
    case 'message':
      return classifyMessage(headers, body.message);
  }
}

function classifyMessage(headers: DoorHeaders, message: ScannedMessage): Classified {
  const shape = shapeOf(message);
  if (shape === 'invalid') return refuse(refusals.notAMessage);
  if (shape === 'response') return legacy.response;
  const claim = claimOf(message);
  if (shape === 'notification') return classifyNotification(headers, message, claim);
  if (message.method === 'initialize' && !claimsModern(claim)) {
    if (!namesModern(headers)) return legacy.initialize;
    return mismatch('initialize belongs to the legacy era, MCP-Protocol-Version to the modern one');
  }
  if (claim.present) return classifyModernRequest(headers, message, claim);
  if (!namesModern(headers)) return legacy.request;
  return refuse(refusals.invalidEnvelope, {
    message: `MCP-Protocol-Version names ${headers.version}, but params._meta lacks ${claim.missing.join(', ')}`,
    data: { missing: claim.missing },
  });
}

function classifyModernRequest(headers: DoorHeaders, message: ScannedMessage, claim: Claim): Classified {
  if (claim.problem !== undefined) return refuse(refusals.invalidEnvelope, { message: claim.problem });
  const version = claim.version as string;
  if (headers.version !== undefined && headers.version !== version) {
    return mismatch(`MCP-Protocol-Version is ${headers.version}, the body names ${version}`);
  }
  if (headers.method !== undefined && headers.method !== message.method) {
    return mismatch(`Mcp-Method is ${headers.method}, the body's method is ${message.method}`);
  }
  if (!modernCodec.versions.includes(version)) {
    return refuse(refusals.unsupportedVersion, { data: { supported: modernCodec.versions, requested: version } });
  }
  return checkRequiredHeaders(headers, message) ?? modernRequest;
}

/** Rung 6: every modern request carries its standard headers, and `Mcp-Name` where the body names something. */
function checkRequiredHeaders(headers: DoorHeaders, message: ScannedMessage): Classified | undefined {
  if (headers.version === undefined) return mismatch('MCP-Protocol-Version is missing');
  if (headers.method === undefined) return mismatch('Mcp-Method is missing');
  if (!namedMethods.has(message.method as string)) return undefined;
  const named = nameInBody(message);
  if (headers.name === undefined) return named === undefined ? undefined : mismatch('Mcp-Name is missing');
  const decoded = decodeHeaderValue(headers.name);
  if (decoded === undefined) return mismatch('Mcp-Name is not validly encoded');
  if (named !== undefined && decoded !== named) return mismatch('Mcp-Name names something else than the body');
  return undefined;
}

function nameInBody(message: ScannedMessage): string | undefined {
  const source = namedMethods.get(message.method as string);
  if (source === 'name') return message.name;
  if (source === 'uri') return message.uri;
  const span = message.params && memberValue(message.bytes, message.params, 'taskId');
  return span && stringValue(message.bytes, span);
}

function classifyNotification(headers: DoorHeaders, message: ScannedMessage, claim: Claim): Classified {
  if (!claim.present && !namesModern(headers)) return legacy.notification;
  if (claim.present && claim.version === undefined) {
    return refuse(refusals.invalidEnvelope, { message: `${metaKeys.protocolVersion} is not a string` });
  }
  const version = claim.version ?? (headers.version as string);
  if (headers.version !== undefined && headers.version !== version) {
    return mismatch(`MCP-Protocol-Version is ${headers.version}, the body names ${version}`);
  }
  if (headers.method !== undefined && headers.method !== message.method && isModernVersion(version)) {
    return mismatch(`Mcp-Method is ${headers.method}, the body's method is ${message.method}`);
  }
  if (!modernCodec.versions.includes(version)) {
    return refuse(refusals.unsupportedVersion, { data: { supported: modernCodec.versions, requested: version } });
  }
  return modernNotification;
}

function classifyBatch(items: readonly ScannedMessage[]): Classified {
  if (items.length === 0) return refuse(refusals.notAMessage, { message: 'The batch is empty' });
  for (const item of items) {
    if (claimOf(item).present) return refuse(refusals.batch, { message: 'Modern requests cannot be batched' });
    if (shapeOf(item) === 'invalid')
      return refuse(refusals.notAMessage, { message: 'The batch holds an invalid message' });
  }
  return { kind: 'legacy-batch' };
}

type Shape = 'request' | 'notification' | 'response' | 'invalid';

function shapeOf(message: ScannedMessage): Shape {
  if (!message.jsonrpc) return 'invalid';
  const answers = message.hasResult || message.hasError;
  if (message.method === undefined) {
    return answers && message.hasResult !== message.hasError && isId(message) ? 'response' : 'invalid';
  }
  if (answers || message.paramsType === 'other' || hasOddMeta(message)) return 'invalid';
  if (message.idType === 'absent') return 'notification';
  return isId(message) ? 'request' : 'invalid';
}

/** `params._meta` is something else than an object. */
function hasOddMeta({ bytes, meta }: ScannedMessage): boolean {
  return meta !== undefined && bytes[meta.start] !== openBrace;
}

function isId(message: ScannedMessage): boolean {
  return message.idType === 'string' || message.idType === 'integer';
}

/** What `params._meta` says about the era. */
interface Claim {
  /** It has the protocolVersion key, whatever its value. */
  readonly present: boolean;
  /** Value of that key, when it is a string. */
  readonly version: string | undefined;
  /** Required keys that are not there. */
  readonly missing: readonly string[];
  /** First thing that is wrong with the envelope; undefined when nothing is. */
  readonly problem: string | undefined;
}

const noClaim: Claim = { present: false, version: undefined, missing: ['_meta'], problem: undefined };
const requiredKeys = [metaKeys.protocolVersion, metaKeys.clientCapabilities];

function claimOf(message: ScannedMessage): Claim {
  if (!message.meta || hasOddMeta(message)) return noClaim;
  const values = new Map<string, Span>();
  for (const { key, value } of objectMembers(message.bytes, message.meta)) values.set(key, value);
  const version = values.get(metaKeys.protocolVersion);
  const missing = requiredKeys.filter((key) => !values.has(key));
  return {
    present: version !== undefined,
    version: version && stringValue(message.bytes, version),
    missing,
    problem: missing[0] === undefined ? envelopeProblem(message.bytes, values) : `params._meta lacks ${missing[0]}`,
  };
}

function envelopeProblem(bytes: Buffer, values: ReadonlyMap<string, Span>): string | undefined {
  const version = values.get(metaKeys.protocolVersion) as Span;
  if (bytes[version.start] !== quote) return `${metaKeys.protocolVersion} is not a string`;
  const objects = [metaKeys.clientCapabilities, metaKeys.clientInfo];
  for (const key of objects) {
    const value = values.get(key);
    if (value && bytes[value.start] !== openBrace) return `${key} is not an object`;
  }
  return undefined;
}

/** `initialize` is modern only behind a whole envelope that names a modern revision. */
function claimsModern(claim: Claim): boolean {
  return claim.version !== undefined && claim.problem === undefined && isModernVersion(claim.version);
}

function namesModern(headers: DoorHeaders): boolean {
  return headers.version !== undefined && isModernVersion(headers.version);
}

function refuse(refusal: Refusal, detail: ErrorDetail = {}): Classified {
  return { kind: 'refused', refusal, detail };
}

function mismatch(message: string): Classified {
  return refuse(refusals.headerMismatch, { message: `Headers and body disagree: ${message}` });
}

/** Methods whose subject `Mcp-Name` repeats, and where the body has it. */
const namedMethods: ReadonlyMap<string, 'name' | 'uri' | 'taskId'> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);

const openBrace = 0x7b;
const quote = 0x22;

const legacy = {
  initialize: { kind: 'legacy', message: 'initialize' },
  request: { kind: 'legacy', message: 'request' },
  notification: { kind: 'legacy', message: 'notification' },
  response: { kind: 'legacy', message: 'response' },
} as const;
const [newest] = modernCodec.versions;
const modernRequest: Classified = { kind: 'modern', message: 'request', version: newest as string };
const modernNotification: Classified = { kind: 'modern', message: 'notification', version: newest as string };
