import { type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';

import { readBody, startHttpFixture } from '@signalbox/test-harness';

/**
 * Stands where backends are configured, one place for each scenario, and hands on what comes there to the server that the
 * suite has started for it: so one gateway serves all scenarios. At the modern era it refuses `initialize` as a server of
 * that era alone does: those of the suite speak both, and what is looked at is how the gateway speaks this one.
 */
export interface ClientRelay {
  /** Where a scenario's backend is. */
  backend(scenario: string): string;
  /** Takes the URL of a scenario's server, by PUT. */
  register(scenario: string): string;
  stop(): Promise<void>;
}

export async function startClientRelay(era: 'legacy' | 'modern'): Promise<ClientRelay> {
  const targets = new Map<string, string>();
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [, kind, scenario = ''] = (request.url ?? '').split('/');
    const body = await readBody(request);
    if (kind === 'register') {
      targets.set(scenario, body);
      return void response.writeHead(204).end();
    }
    const target = targets.get(scenario);
    if (target === undefined) return void response.writeHead(502).end();
    if (era === 'modern' && body.includes('"method":"initialize"'))
      return void response.writeHead(400, json).end(refusal);
    const { host } = new URL(target);
    const sent = httpRequest(target, { method: request.method, headers: { ...request.headers, host } }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
      answer.pipe(response);
    });
    sent.on('error', () => response.destroy());
    response.once('close', () => sent.destroy());
    sent.end(body);
  };
  const http = await startHttpFixture((request, response) => void serve(request, response));
  return {
    backend: (scenario) => `${http.origin}/backend/${scenario}/mcp`,
    register: (scenario) => `${http.origin}/register/${scenario}`,
    stop: () => http.stop(),
  };
}

const json = { 'content-type': 'application/json' };
const data = { supported: ['2026-07-28'], requested: '2025-11-25' };
const refusal = JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_022, message: 'Unsupported', data } });
