import type { Services } from '../mcp/services.ts';
import type { ChangeKind } from './change-debounce.ts';

/** A member says that one of its lists changed: what is remembered of it no longer serves. */
export function noteListChanged(
  { memberNames, memberTools }: Pick<Services, 'memberNames' | 'memberTools'>,
  backendKey: string,
  kind: ChangeKind,
): void {
  memberNames.changed(backendKey, kind);
  if (kind === 'tools') memberTools.changed(backendKey);
}
