import type { Call } from '../mcp/call.ts';
import type { ErrorDetail, Refusal } from '../mcp/errors.ts';

/**
 * What a phase says: go on with the next one, or stop because the call has been answered or is on its way upstream. A
 * promise only where the phase really has to wait: with the body there and the credential known, a request runs
 * through all phases in one go.
 */
export type Step = 'continue' | 'stop';

/** One phase. It reads what earlier phases left in the call, adds its own, or answers. */
export type Phase = (call: Call) => Step | Promise<Step>;

/** Answers with an error of the catalogue. */
export function refuse(call: Call, refusal: Refusal, detail?: ErrorDetail): Step {
  call.refuse(refusal, detail);
  return 'stop';
}
