/** Units of `grpc-timeout`, in milliseconds. */
const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout`; infinite without one, undefined if it is malformed. */
export function grpcTimeoutMs(text: string | undefined): number | undefined {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  // Nought would be no limit to whoever counts it.
  return Math.max(1, Number(digits) * (units[unit] as number));
}

/** Header fields with another deadline, in milliseconds. */
export function grpcTimeout(headers: readonly string[], ms: number): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'grpc-timeout') kept.push(headers[i] as string, headers[i + 1] as string);
  }
  const rounded = Math.ceil(ms);
  const text = rounded <= maxDigits ? `${rounded}m` : `${Math.ceil(rounded / 1_000)}S`;
  return [...kept, 'grpc-timeout', text];
}

/** Eight digits are the most that there may be. */
const maxDigits = 99_999_999;
