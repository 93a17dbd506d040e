import { endings } from '../mcp/errors.ts';
import type { ForwardRefusal } from './errors.ts';
import type { WordRefusal } from './forward-call.ts';

/** Status codes of gRPC. */
const codes = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** What clients make of an answer without a status of gRPC, and more exactly where the gateway knows more. */
const byHttpStatus: ReadonlyMap<number, number> = new Map([
  [400, codes.invalidArgument],
  [401, codes.unauthenticated],
  [403, codes.permissionDenied],
  [404, codes.unimplemented],
  [413, codes.resourceExhausted],
  [429, codes.resourceExhausted],
  [500, codes.internal],
  [502, codes.unavailable],
  [503, codes.unavailable],
  [504, codes.deadlineExceeded],
]);

/** Errors of answers that had begun have no status of HTTP that would tell. */
const byName: ReadonlyMap<string, number> = new Map([
  ['expired', codes.unauthenticated],
  ['upstream_too_large', codes.resourceExhausted],
  ['upstream_invalid', codes.internal],
  ['route_removed', codes.unavailable],
  ['backend_changed', codes.unavailable],
]);

/** Words a refusal as an answer of gRPC that is trailers alone. */
export const grpcWording: WordRefusal = (refusal) => {
  // Who speaks no gRPC is told so by HTTP.
  if (refusal.status === 415 || refusal.status === 405) return { headers: [] };
  return { status: 200, headers: ['content-type', 'application/grpc', ...grpcTrailers(refusal)] };
};

/** Status and message of gRPC that say what a refusal says. */
export function grpcTrailers(refusal: ForwardRefusal): readonly string[] {
  const code = byName.get(refusal.name) ?? byHttpStatus.get(refusal.status) ?? codes.unknown;
  return ['grpc-status', String(code), 'grpc-message', encodeMessage(refusal.message)];
}

/**
 * Outcome of a call by the last fields of its answer: that the service failed, rather than said something about the call.
 * An answer without a status of gRPC is a failure; one that is none of HTTP either tells so by that.
 */
export function grpcOutcome(httpStatus: number, fields: readonly string[]): string {
  const at = fields.findIndex((name, i) => i % 2 === 0 && name === 'grpc-status');
  if (at < 0) return httpStatus === 200 ? endings.upstreamError : '';
  return failures.has(Number(fields[at + 1])) ? endings.upstreamError : '';
}

const failures: ReadonlySet<number> = new Set([codes.unknown, codes.internal, codes.unavailable, codes.dataLoss]);

/** Percent-encodes what is not printable ASCII, and the percent sign, of the message's UTF-8. */
function encodeMessage(message: string): string {
  return message.replaceAll(/[^\x20-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character));
}
