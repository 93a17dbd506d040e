import { integer, secret, text } from '@signalbox/runtime';

const anyPort = { unit: 'port', min: 1, max: 65_535 };

/** The variables of `up` itself. Those of the control plane and the proxy count as well. */
export const upSettings = {
  dataDir: text(
    {
      name: 'SIGNALBOX_DATA_DIR',
      fallback: '',
      doc: 'Folder with all state of up: database, credentials, last good set, log. Empty: .signalbox in the checkout.',
    },
    'folder',
  ),
  databaseUrl: secret({
    name: 'DATABASE_URL',
    doc: 'A PostgreSQL server to use in place of the embedded one: postgres://user:password@host:port/database.',
  }),
  everythingPort: integer({
    name: 'SIGNALBOX_DEMO_EVERYTHING_PORT',
    ...anyPort,
    fallback: '7081',
    doc: 'Port on 127.0.0.1 of the demo MCP server server-everything.',
  }),
  railwayPort: integer({
    name: 'SIGNALBOX_DEMO_RAILWAY_PORT',
    ...anyPort,
    fallback: '7082',
    doc: 'Port on 127.0.0.1 of the demo railway, an MCP server.',
  }),
  startedBy: integer({
    name: 'SIGNALBOX_UP_STARTED_BY',
    unit: 'process id',
    min: 0,
    max: 2 ** 31 - 1,
    fallback: '0',
    doc: 'Process with which up ends; npm start says its own. 0: none.',
  }),
  startDeadlineMs: integer({
    name: 'SIGNALBOX_UP_START_DEADLINE',
    unit: 'ms',
    min: 1_000,
    max: 600_000,
    fallback: '60000',
    doc: 'How long the node may take to apply the configuration at the start.',
  }),
  stopDeadlineMs: integer({
    name: 'SIGNALBOX_UP_STOP_DEADLINE',
    unit: 'ms',
    min: 0,
    max: 600_000,
    fallback: '15000',
    doc: 'How long the whole stop may take before what still runs is killed.',
  }),
};
