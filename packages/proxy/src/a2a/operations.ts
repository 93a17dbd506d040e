/** Versions of A2A by Major.Minor. */
export type A2aVersion = '1.0' | '0.3';

/** An operation by its name in A2A 1.0, which is how policy knows it. */
export interface Operation {
  readonly name: string;
  /** What the gateway does with it: passes it on, or refuses it since it does not carry it. */
  readonly handling: 'pass' | 'refuse-push' | 'refuse-extended-card';
  /** Its parameters may ask for push notifications. */
  readonly mayConfigurePush: boolean;
}

/** The operation of a JSON-RPC method; undefined if the version has none of that name. */
export function operationOf(version: A2aVersion, method: string): Operation | undefined {
  return byVersion[version].get(method);
}

/** The version that a request asks for: a missing one is 0.3; undefined for one that is not carried. */
export function versionOf(requested: string): A2aVersion | undefined {
  if (requested === '') return '0.3';
  const [, majorMinor] = /^(\d{1,3}\.\d{1,3})(?:\.\d{1,3})?$/.exec(requested) ?? [];
  return majorMinor === '1.0' || majorMinor === '0.3' ? majorMinor : undefined;
}

const push = 'refuse-push';
const names: readonly (readonly [name: string, older: string | undefined, handling: Operation['handling']])[] = [
  ['SendMessage', 'message/send', 'pass'],
  ['SendStreamingMessage', 'message/stream', 'pass'],
  ['GetTask', 'tasks/get', 'pass'],
  ['ListTasks', undefined, 'pass'],
  ['CancelTask', 'tasks/cancel', 'pass'],
  ['SubscribeToTask', 'tasks/resubscribe', 'pass'],
  ['CreateTaskPushNotificationConfig', 'tasks/pushNotificationConfig/set', push],
  ['GetTaskPushNotificationConfig', 'tasks/pushNotificationConfig/get', push],
  ['ListTaskPushNotificationConfigs', 'tasks/pushNotificationConfig/list', push],
  ['DeleteTaskPushNotificationConfig', 'tasks/pushNotificationConfig/delete', push],
  ['GetExtendedAgentCard', 'agent/getAuthenticatedExtendedCard', 'refuse-extended-card'],
];

const operations = names.map(([name, older, handling]) => {
  const mayConfigurePush = name === 'SendMessage' || name === 'SendStreamingMessage';
  return { older, operation: Object.freeze<Operation>({ name, handling, mayConfigurePush }) };
});

const byVersion: Readonly<Record<A2aVersion, ReadonlyMap<string, Operation>>> = {
  '1.0': new Map(operations.map(({ operation }) => [operation.name, operation])),
  '0.3': new Map(operations.flatMap(({ older, operation }) => (older === undefined ? [] : [[older, operation]]))),
};
