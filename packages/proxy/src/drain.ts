import type { Clock, Logger } from '@signalbox/runtime';

/** What takes requests in, as a drain sees it. */
interface Intake {
  /** From now on every answer closes its connection; new connections are still accepted. */
  drain(): void;
  /** Accepts nothing more. */
  stopListening(): void;
  /** Stops accepting, waits for what is in flight, and cuts it off at the signal. */
  close(deadline: AbortSignal): Promise<void>;
  readonly inFlight: number;
}

/** Streams that last, told one by one to end. */
interface DrainableStreams {
  drain(windowMs: number, signal: AbortSignal): Promise<void>;
  readonly size: number;
}

interface DrainTimes {
  /** How long to go on accepting, so that load balancers notice that the node is no longer ready. */
  readonly acceptMs: number;
  /** Time over which streams are told to end. */
  readonly spreadMs: number;
}

interface DrainOptions {
  readonly intake: Intake;
  readonly streams: DrainableStreams;
  readonly times: DrainTimes;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Ends the intake of requests without breaking any: answers close their connections while new ones are still accepted,
 * streams are told to end spread over a window, then listening stops and calls in flight may finish. At the signal
 * whatever is left is cut off.
 * @returns how many exchanges were cut off.
 */
export async function drainRequests(options: DrainOptions, deadline: AbortSignal): Promise<number> {
  const { intake, streams, times, logger } = options;
  logger.info('draining', { inFlight: intake.inFlight, streams: streams.size });
  let cutOff = 0;
  deadline.addEventListener('abort', () => (cutOff = intake.inFlight), { once: true });
  intake.drain();
  const accepting = acceptFor(options, deadline);
  await Promise.all([streams.drain(times.spreadMs, deadline), accepting]);
  await intake.close(deadline);
  if (cutOff > 0) logger.warn('the drain deadline cut requests off', { requests: cutOff });
  return cutOff;
}

/** The last connections get a fifth of the time to say what they want, before silent ones are closed. */
async function acceptFor({ clock, intake, times: { acceptMs } }: DrainOptions, deadline: AbortSignal): Promise<void> {
  const wait = (ms: number) => clock.sleep(ms, deadline).catch(() => undefined);
  await wait(acceptMs * 0.8);
  intake.stopListening();
  await wait(acceptMs * 0.2);
}

/**
 * How much of the time to stop requests may have: the rest is for writing down how they ended. A fifth is kept, two
 * seconds at most.
 */
export function requestShare(deadlineMs: number): number {
  return deadlineMs - Math.min(2_000, deadlineMs / 5);
}
