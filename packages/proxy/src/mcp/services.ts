import type { Recorder } from '@signalbox/audit';
import type { Clock, Logger, Metrics, Random } from '@signalbox/runtime';
import type { SessionKeys } from '../session/session-keys.ts';
import type { TableSource } from '../table/admission.ts';
import type { OpenStreams } from '../table/open-streams.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { RequestLimits } from './request-limits.ts';

/** What the request path is built from. */
export interface RequestPathDeps {
  readonly tables: TableSource;
  /** The gateway that this node serves. */
  readonly gateway: string;
  /** Name of this node, for outcome events. */
  readonly node: string;
  readonly upstream: Upstream;
  readonly recorder: Recorder;
  readonly streams: OpenStreams;
  readonly sessionKeys: SessionKeys;
  readonly limits: RequestLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly logger: Logger;
}
