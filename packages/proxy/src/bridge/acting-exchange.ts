import type { UpstreamExchange } from '../upstream/upstream.ts';
import { WholeRequest } from './whole-request.ts';

/** An exchange that hands on what its holder does to it. */
export class ActingExchange extends WholeRequest implements UpstreamExchange {
  readonly pause: () => void;
  readonly resume: () => void;
  readonly detach: () => void;
  readonly abort: () => void;

  constructor(acts: Pick<UpstreamExchange, 'pause' | 'resume' | 'detach' | 'abort'>) {
    super();
    this.pause = () => acts.pause();
    this.resume = () => acts.resume();
    this.detach = () => acts.detach();
    this.abort = () => acts.abort();
  }
}
