import type { Federation } from '@signalbox/config';
import type { FederatedMember } from '@signalbox/config';

/** What a member says about itself, in `initialize` or `server/discover`. */
export interface MemberGreeting {
  readonly member: FederatedMember;
  readonly capabilities: unknown;
  readonly instructions: unknown;
}

/**
 * Capabilities of all members together: what one of them can do, the whole can. Lists change with the configuration, so
 * every list that there is may change. What the gateway does not carry is left out.
 */
export function mergeCapabilities(greetings: readonly MemberGreeting[]): Readonly<Record<string, unknown>> {
  let merged: Record<string, unknown> = {};
  for (const { capabilities } of greetings) merged = mergeRecords(merged, recordOf(capabilities));
  const { list: _, ...tasks } = recordOf(merged['tasks']);
  if (merged['tasks'] !== undefined) merged['tasks'] = tasks;
  for (const list of ['tools', 'prompts', 'resources']) {
    if (merged[list] !== undefined) merged[list] = { ...recordOf(merged[list]), listChanged: true };
  }
  return merged;
}

/** The instructions of the virtual server, then those of its members, each below its name, cut at the bound. */
export function mergeInstructions({ instructions }: Federation, greetings: readonly MemberGreeting[]): string {
  const parts = instructions.text === '' ? [] : [instructions.text];
  if (instructions.members === 'merge') {
    for (const { member, instructions: own } of greetings) {
      if (typeof own === 'string' && own !== '') parts.push(greetings.length > 1 ? `# ${member.key}\n\n${own}` : own);
    }
  }
  return cut(parts.join('\n\n'), instructions.maxBytes);
}

/** Never within a character. */
function cut(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

function mergeRecords(a: Record<string, unknown>, b: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const merged = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const known = merged[key];
    if (isRecord(known) && isRecord(value)) merged[key] = mergeRecords(known, value);
    else if (known === undefined || value === true) merged[key] = value;
  }
  return merged;
}

function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? { ...value } : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
