// The fleet in a process of its own, so that neither the control plane nor whoever commits pays for it. It does what
// its parent asks for, one thing at a time, and answers each with one message.
import type { Commit, Deliveries } from './deliveries.ts';
import { type Arrival, Fleet, type GroupPlan } from './fleet.ts';

/** What a fleet can be asked for. */
export type FleetRequest =
  | { readonly ask: 'connect'; readonly host: string; readonly port: number; readonly groups: readonly GroupPlan[] }
  | { readonly ask: 'reconnect' }
  | { readonly ask: 'listen' }
  | { readonly ask: 'deliveries'; readonly commits: readonly Commit[]; readonly withinMs: number }
  | { readonly ask: 'leave' };

export type FleetAnswer = Arrival | Deliveries | { readonly error: string } | Record<string, never>;

let fleet: Fleet | undefined;

async function answer(request: FleetRequest): Promise<FleetAnswer> {
  if (request.ask === 'connect') {
    fleet = new Fleet(request, request.groups);
    return fleet.connect();
  }
  if (!fleet) throw new Error('the fleet is not connected');
  switch (request.ask) {
    case 'reconnect':
      fleet.cut();
      return fleet.connect();
    case 'listen':
      fleet.listen();
      return {};
    case 'deliveries':
      return fleet.deliveries(request.commits, request.withinMs);
    case 'leave':
      fleet.stop();
      fleet = undefined;
      return {};
  }
}

process.on('message', (request: FleetRequest) => {
  answer(request).then(
    (answered) => process.send?.(answered),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
