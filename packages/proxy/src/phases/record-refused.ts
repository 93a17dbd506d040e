import { EventIds, outcomeEvent, type Recorder } from '@signalbox/audit';
import type { Clock, Random } from '@signalbox/runtime';
import type { RefusedRequest } from '../http/http-server.ts';
import { endings } from '../mcp/errors.ts';
import { IsoTimes } from '../mcp/iso-times.ts';

export interface RefusalRecorderDeps {
  readonly recorder: Recorder;
  readonly gateway: string;
  /** Name of this node. */
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Records the outcome of what the codec turned away: it never became an exchange, and still has its one event. */
export function refusalRecorder(deps: RefusalRecorderDeps): (refused: RefusedRequest) => void {
  const { recorder, gateway, node, clock, random } = deps;
  const ids = new EventIds(clock.now(), random.bytes(3).toString('hex'));
  const times = new IsoTimes();
  return ({ method, status, error = endings.httpRefused }) =>
    recorder.record(
      outcomeEvent({
        id: ids.next(),
        at: times.of(clock.now()),
        node,
        tenant: '',
        gateway,
        route: '',
        revision: 0,
        principal: '',
        session: '',
        virtualServer: '',
        backend: '',
        era: '',
        protocolVersion: '',
        method,
        tool: '',
        decision: error === endings.httpRefused ? 'invalid' : 'none',
        rule: '',
        status,
        error,
        durationMs: 0,
        requestBytes: 0,
        responseBytes: 0,
        traceId: '',
      }),
    );
}
