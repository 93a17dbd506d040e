import { flag } from '@signalbox/runtime';

/** What can be set about clients of HTTP+SSE: part of the settings of a proxy. */
export const httpSseClientSettings = {
  httpSseClients: flag({
    name: 'SIGNALBOX_PROXY_HTTP_SSE_CLIENTS',
    fallback: 'false',
    doc: 'Whether clients of MCP 2024-11-05 (HTTP+SSE) are served: a GET without a session opens their stream, which names where they post. Such a client must reach one node with all of its requests.',
  }),
} as const;
