import { type EraCodec, listMethods, methodTable, protocolMethod, subjectMethods, taskMethod } from './codec.ts';

/**
 * The legacy era, 2025-11-25 and before: sessions, GET stream, requests in both directions. `tasks/list` is not carried:
 * what it lists cannot be told apart by caller; `initialize` answers say so (see capabilities.ts).
 */
export const legacyCodec: EraCodec = {
  era: 'legacy',
  versions: ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'],
  methods: methodTable(
    ...subjectMethods,
    ...listMethods,
    { name: 'initialize', subject: 'none', special: 'initialize', repeatable: false },
    { name: 'resources/subscribe', subject: 'resource', repeatable: true },
    { name: 'resources/unsubscribe', subject: 'none', repeatable: true },
    taskMethod('tasks/get'),
    taskMethod('tasks/result'),
    taskMethod('tasks/cancel'),
    protocolMethod('ping'),
    protocolMethod('logging/setLevel'),
    protocolMethod('completion/complete'),
  ),
  unknownMethodStatus: 200,
  unknownResourceCode: -32002,
};

/** The last revision with batches: later ones refuse them. */
export const batchVersion = '2025-03-26';
