import { AgentCard, Task, TaskStatusUpdateEvent } from '@a2a-js/sdk';
import {
  AgentEvent,
  type AgentExecutor,
  DefaultRequestHandler,
  InMemoryTaskStore,
  JsonRpcTransportHandler,
  ServerCallContext,
} from '@a2a-js/sdk/server';
import { type HttpFixture, readBody, startHttpFixture } from '@signalbox/test-harness';

/** An agent that the official SDK runs: it finishes whatever it is told. */
export async function startSdkAgent(): Promise<HttpFixture> {
  let origin = '';
  const cardOf = () =>
    AgentCard.fromJSON({
      ...{ name: 'planner', description: 'plans', version: '1.0.0', capabilities: { streaming: true } },
      supportedInterfaces: [{ url: `${origin}/a2a`, protocolBinding: 'JSONRPC', protocolVersion: '1.0' }],
      ...{ defaultInputModes: ['text/plain'], defaultOutputModes: ['text/plain'], skills: [] },
    });
  let handler: JsonRpcTransportHandler | undefined;
  const fixture = await startHttpFixture((request, response) => {
    if (request.url === '/.well-known/agent-card.json') return response.end(JSON.stringify(AgentCard.toJSON(cardOf())));
    void readBody(request).then(async (body) => {
      const context = new ServerCallContext({ requestedVersion: request.headers['a2a-version']?.toString() ?? '0.3' });
      const answer = await (handler as JsonRpcTransportHandler).handle(body, context);
      if (!(Symbol.asyncIterator in answer)) {
        return response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for await (const event of answer) response.write(`data: ${JSON.stringify(event)}\n\n`);
      return response.end();
    });
  });
  origin = fixture.origin;
  const executor = new Planner();
  handler = new JsonRpcTransportHandler(new DefaultRequestHandler(cardOf(), new InMemoryTaskStore(), executor));
  return fixture;
}

class Planner implements AgentExecutor {
  readonly execute: AgentExecutor['execute'] = ({ taskId, contextId }, bus) => {
    const working = { state: 'TASK_STATE_WORKING', timestamp: '2026-11-21T00:00:00Z' };
    bus.publish(AgentEvent.task(Task.fromJSON({ id: taskId, contextId, status: working })));
    const done = { state: 'TASK_STATE_COMPLETED', timestamp: '2026-11-21T00:00:01Z' };
    bus.publish(AgentEvent.statusUpdate(TaskStatusUpdateEvent.fromJSON({ taskId, contextId, status: done })));
    bus.finished();
    return Promise.resolve();
  };

  readonly cancelTask: AgentExecutor['cancelTask'] = () => Promise.resolve();
}
