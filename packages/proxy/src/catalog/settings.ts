import { flag, integer } from '@signalbox/runtime';

/** What can be set about how a node looks up what MCP servers have. */
export const catalogSettings = {
  catalog: flag({
    name: 'SIGNALBOX_PROXY_CATALOG',
    fallback: 'true',
    doc: 'Whether this node looks up, for the control plane, what the MCP servers of its tenants have.',
  }),
  catalogAsk: integer({
    name: 'SIGNALBOX_PROXY_CATALOG_ASK',
    ...{ unit: 'ms', min: 1, max: 86_400_000, fallback: '5000' },
    doc: 'How often the control plane is asked which servers to look at, until it says otherwise.',
  }),
  catalogServers: integer({
    name: 'SIGNALBOX_PROXY_CATALOG_SERVERS',
    ...{ unit: 'servers', min: 1, max: 1_000, fallback: '4' },
    doc: 'Servers that this node looks at, at the same time.',
  }),
  catalogAnswer: integer({
    name: 'SIGNALBOX_PROXY_CATALOG_ANSWER',
    ...{ unit: 'ms', min: 10, max: 600_000, fallback: '10000' },
    doc: 'How long a server may take for each answer when it is looked at.',
  }),
};
