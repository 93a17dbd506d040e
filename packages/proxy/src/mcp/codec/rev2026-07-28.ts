import { type EraCodec, listMethods, methodTable, protocolMethod, subjectMethods, taskMethod } from './codec.ts';

/** The modern era, from 2026-07-28: stateless, POST only, everything about a request in its `_meta`. */
export const modernCodec: EraCodec = {
  era: 'modern',
  versions: ['2026-07-28'],
  methods: methodTable(
    ...subjectMethods,
    ...listMethods,
    { name: 'subscriptions/listen', subject: 'none', special: 'listen', repeatable: true },
    // Of the extension io.modelcontextprotocol/tasks.
    taskMethod('tasks/get'),
    taskMethod('tasks/update'),
    taskMethod('tasks/cancel'),
    protocolMethod('server/discover'),
    protocolMethod('completion/complete'),
  ),
  unknownMethodStatus: 404,
  unknownResourceCode: -32602,
};

/** Keys of `params._meta` that make a request a modern one. */
export const metaKeys = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
} as const;

/** Whether a revision is of this era; revisions are dates, and compare as texts. */
export function isModernVersion(version: string): boolean {
  return version >= '2026-07-28';
}
