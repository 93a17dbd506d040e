import { type OutcomeEvent, type OutcomeFields, outcomeEvent } from '../event.ts';

/** A successful call, with what the test cares about changed. */
export function sampleOutcome(changes: Partial<OutcomeFields> = {}): OutcomeEvent {
  return outcomeEvent({
    id: '1',
    at: '2026-11-21T12:00:00.000Z',
    node: 'node-1',
    tenant: 'acme',
    gateway: 'default',
    route: 'assistant',
    revision: 7,
    principal: 'alice',
    session: '',
    virtualServer: 'assistant',
    backend: 'weather',
    era: 'modern',
    protocolVersion: '2026-07-28',
    method: 'tools/call',
    tool: 'get_forecast',
    decision: 'allow',
    rule: '0',
    status: 200,
    error: '',
    durationMs: 1.5,
    requestBytes: 100,
    responseBytes: 200,
    traceId: '',
    ...changes,
  });
}
