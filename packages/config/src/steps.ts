/** Runs a computation that can pause to its end, without pausing. */
export function drain<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Entries handled between two pauses, when each costs some microseconds: a pause at least every half millisecond on
 * slow hardware.
 */
export const stepSize = 64;
