import { create } from '@bufbuild/protobuf';
import { type Status, StatusSchema } from '@signalbox/proto/google/rpc/status_pb.ts';
import type { ResourceFault } from './client-handler.ts';

/** `google.rpc.Code.INVALID_ARGUMENT`. */
const invalidArgument = 3;
/** Bounds what a NACK may carry, on both ends: headers and logs must not grow with the configuration. */
const maxFaults = 100;
const maxTextLength = 2_000;

/** The `error_detail` of a NACK: JSON `[{"name","error"}]`, at most a hundred entries. */
export function faultStatus(faults: readonly ResourceFault[]): Status {
  return create(StatusSchema, { code: invalidArgument, message: JSON.stringify(bounded(faults)) });
}

/**
 * What a NACK says, resource by resource. The key of an entry may be `name` or `key`, its text `error` or `warn`; any
 * other message is one fault without a name.
 */
export function parseFaults(message: string): readonly ResourceFault[] {
  const entries = parseEntries(message);
  const faults = entries?.flatMap((entry) => faultOf(entry) ?? []);
  if (!faults || faults.length === 0) return bounded([{ name: '', error: message }]);
  return bounded(faults);
}

function parseEntries(message: string): readonly unknown[] | undefined {
  if (!message.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(message);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function faultOf(entry: unknown): ResourceFault | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { name, key, error, warn } = entry as Record<string, unknown>;
  const text = error ?? warn;
  if (typeof text !== 'string') return undefined;
  const subject = name ?? key;
  return { name: typeof subject === 'string' ? subject : '', error: text };
}

function bounded(faults: readonly ResourceFault[]): readonly ResourceFault[] {
  return faults.slice(0, maxFaults).map(({ name, error }) => ({
    name: name.slice(0, maxTextLength),
    error: error.slice(0, maxTextLength),
  }));
}
