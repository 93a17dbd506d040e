import { parseStructuredName } from './resource-name.ts';
import type { SendOrder } from './send-order.ts';
import type { ServerSession } from './server-session.ts';

type Ids = 'all' | ReadonlySet<string>;

/** Collections of which a stream may need changes: what it has asked for, among those that it may see. */
export function followedBy({ types }: ServerSession, served: SendOrder, visible: Ids): Ids {
  const asked = new Set<string>();
  for (const [typeUrl, { subscription }] of types) {
    if (!served.types.has(typeUrl)) continue;
    if (subscription.wildcard) return visible;
    for (const id of subscription.globs.keys()) asked.add(id);
    for (const name of subscription.names.keys()) {
      const collection = parseStructuredName(name)?.collection;
      // Any collection may have a resource of such a name.
      if (collection === undefined) return visible;
      asked.add(collection);
    }
  }
  return visible === 'all' ? asked : new Set([...asked].filter((id) => visible.has(id)));
}

/** Everything that is in one or the other. */
export function together(one: Ids, other: Ids): Ids {
  if (one === 'all' || other === 'all') return 'all';
  return one.size === 0 ? other : new Set([...one, ...other]);
}
