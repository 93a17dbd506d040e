import type { RoutingTable } from '@signalbox/config';
import type { OpenCalls } from './open-calls.ts';

/** A stream that may outlive the table it was admitted under. Its route is pinned, its permission is not. */
export interface OpenStream {
  /** After each swap: ends itself when it is no longer allowed, tells its client when visible tools changed. */
  onSwap(previous: RoutingTable, next: RoutingTable): void;
  /** The node is stopping: end in order, with a hint to come back. */
  onDrain(): void;
}

/** Every open stream of the node. Bounded; re-checks after a swap run in slices, so that the loop never stalls. */
export interface OpenStreams {
  /**
   * @param admitted the table that the stream's permission was last decided under. A swap may have happened between
   *   that decision and this call; the stream is then re-checked soon after, never within this call.
   * @returns what ends the registration; undefined when the bound is reached.
   */
  add(stream: OpenStream, admitted: RoutingTable): Disposable | undefined;
  readonly size: number;
  /** Resolves when every stream and call has seen the present table. */
  settled(): Promise<void>;
  /** Calls that are not streams, or not yet: the same holds for them, without the bound. */
  readonly calls: OpenCalls;
}
