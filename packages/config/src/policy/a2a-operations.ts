/** An operation of A2A: rules know it by its name in 1.0. */
export interface A2aOperation {
  /** JSON-RPC method of A2A 1.0. */
  readonly name: string;
  /** JSON-RPC method of A2A 0.3; undefined where it has none. */
  readonly older: string | undefined;
  /** Whether data planes carry it; if not, why. Push notifications and the extended card would go past the gateway. */
  readonly carried: 'yes' | 'no-push' | 'no-extended-card';
}

/** All operations of A2A over JSON-RPC. */
export const a2aOperations: readonly A2aOperation[] = Object.freeze([
  operation('SendMessage', 'message/send'),
  operation('SendStreamingMessage', 'message/stream'),
  operation('GetTask', 'tasks/get'),
  operation('ListTasks', undefined),
  operation('CancelTask', 'tasks/cancel'),
  operation('SubscribeToTask', 'tasks/resubscribe'),
  operation('CreateTaskPushNotificationConfig', 'tasks/pushNotificationConfig/set', 'no-push'),
  operation('GetTaskPushNotificationConfig', 'tasks/pushNotificationConfig/get', 'no-push'),
  operation('ListTaskPushNotificationConfigs', 'tasks/pushNotificationConfig/list', 'no-push'),
  operation('DeleteTaskPushNotificationConfig', 'tasks/pushNotificationConfig/delete', 'no-push'),
  operation('GetExtendedAgentCard', 'agent/getAuthenticatedExtendedCard', 'no-extended-card'),
]);

/** What rules know the fetching of an agent's card by: it is no JSON-RPC method. */
export const getAgentCard = 'GetAgentCard';

/** Members of `params.configuration` with which a message asks for push notifications, in 1.0 and 0.3. */
export const pushConfigurations: readonly string[] = ['taskPushNotificationConfig', 'pushNotificationConfig'];

function operation(name: string, older: string | undefined, carried: A2aOperation['carried'] = 'yes'): A2aOperation {
  return Object.freeze({ name, older, carried });
}
