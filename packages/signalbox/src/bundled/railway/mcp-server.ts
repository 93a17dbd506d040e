import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import type { Clock } from '@signalbox/runtime';
import { z } from 'zod';
import { aspects, type Railway, stations } from './timetable.ts';

/** Milliseconds between two stations for somebody who follows a train. */
const followStepMs = 400;

/** The railway as MCP tools, one prompt and one resource; a fresh server a request, all on one railway. */
export function railwayServer(railway: Railway, clock: Clock): McpServer {
  const server = new McpServer({ name: 'railway', title: 'Demo railway', version: '1.0.0' });
  registerReading(server, railway, clock);
  registerChanging(server, railway);
  registerFollowing(server, railway, clock);
  server.registerPrompt(
    'travel_advice',
    {
      description: 'How to get from one station to another.',
      argsSchema: z.object({ from: z.enum(stations), to: z.enum(stations) }),
    },
    ({ from, to }) => ({
      messages: [
        { role: 'user', content: { type: 'text', text: `Which train gets me from ${from} to ${to}, and when?` } },
      ],
    }),
  );
  server.registerResource(
    'signals',
    'railway://signals',
    { description: 'The aspect that every signal shows.', mimeType: 'application/json' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify(railway.signals()) }] }),
  );
  return server;
}

function registerReading(server: McpServer, railway: Railway, clock: Clock): void {
  const readOnly = { readOnlyHint: true, openWorldHint: false };
  server.registerTool(
    'list_stations',
    { description: 'The stations of the line, from east to north.', annotations: readOnly },
    () => answer({ stations }),
  );
  server.registerTool(
    'list_departures',
    {
      description: 'The next departures of a station.',
      inputSchema: z.object({ station: z.enum(stations).describe('Name of the station') }),
      annotations: readOnly,
    },
    ({ station }) => answer({ station, departures: railway.departures(station, hourOf(clock)) }),
  );
  server.registerTool(
    'get_train',
    {
      description: 'Where a train stops, and when.',
      inputSchema: z.object({ train: z.string().max(10).describe('Such as E40') }),
      annotations: readOnly,
    },
    ({ train }) => {
      const stops = railway.stops(train, hourOf(clock));
      return stops ? answer({ train, stops }) : failure(`There is no train ${train}.`);
    },
  );
}

function registerChanging(server: McpServer, railway: Railway): void {
  server.registerTool(
    'set_signal',
    {
      description: 'Set the aspect of a signal. Danger stops trains, clear lets them go.',
      inputSchema: z.object({ signal: z.string().max(10).describe('Such as S3'), aspect: z.enum(aspects) }),
      annotations: { idempotentHint: true, destructiveHint: false, openWorldHint: false },
    },
    ({ signal, aspect }) => {
      const before = railway.setSignal(signal, aspect);
      return before ? answer({ signal, before, aspect }) : failure(`There is no signal ${signal}.`);
    },
  );
  server.registerTool(
    'cancel_train',
    {
      description: 'Cancel a train for the rest of the day.',
      inputSchema: z.object({ train: z.string().max(10) }),
      annotations: { destructiveHint: true, openWorldHint: false },
    },
    ({ train }) =>
      railway.cancel(train) ? answer({ train, cancelled: true }) : failure(`There is no train ${train}.`),
  );
}

function registerFollowing(server: McpServer, railway: Railway, clock: Clock): void {
  server.registerTool(
    'follow_train',
    {
      description: 'Follow a train from station to station, with progress.',
      inputSchema: z.object({ train: z.string().max(10) }),
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async ({ train }, context) => {
      const stops = railway.stops(train, hourOf(clock));
      if (!stops) return failure(`There is no train ${train}.`);
      for (const [index, stop] of stops.entries()) {
        await clock.sleep(followStepMs, context.mcpReq.signal);
        await progress(context, {
          progress: index + 1,
          total: stops.length,
          message: `${train} is at ${stop.station}`,
        });
      }
      return answer({ train, arrived: stops.at(-1)?.station });
    },
  );
}

async function progress(
  context: ServerContext,
  params: { progress: number; total: number; message: string },
): Promise<void> {
  const progressToken = context.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  await context.mcpReq.notify({ method: 'notifications/progress', params: { ...params, progressToken } });
}

function answer(data: Record<string, unknown>) {
  return { content: [{ type: 'text' as const, text: JSON.stringify(data) }], structuredContent: data };
}

function failure(text: string) {
  return { content: [{ type: 'text' as const, text }], isError: true };
}

function hourOf(clock: Clock): number {
  return new Date(clock.now()).getHours();
}
