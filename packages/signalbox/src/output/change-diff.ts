import type { Change } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Change_Operation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { changedLines, type DiffLine, diffLines } from './line-diff.ts';
import { printable, printableLine } from './printable.ts';
import type { Style } from './style.ts';
import { renderYaml } from './yaml.ts';

/** Unchanged lines shown around a change. */
const context = 3;

/** Changes of one scope, for people: one heading a resource, and the lines of its YAML that differ. */
export function renderChanges(scope: string, changes: readonly Change[], style: Style): string {
  return changes.map((change) => renderChange(scope, change, style)).join('');
}

/** `1 created, 2 changed`, or `no changes`. */
export function summariseChanges(changes: readonly Change[]): string {
  const count = (operation: Change_Operation) => changes.filter((change) => change.operation === operation).length;
  const parts = [
    [count(Change_Operation.CREATE), 'created'],
    [count(Change_Operation.UPDATE), 'changed'],
    [count(Change_Operation.DELETE), 'deleted'],
  ] as const;
  const present = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  return present.length === 0 ? 'no changes' : present.join(', ');
}

function renderChange(scope: string, change: Change, style: Style): string {
  const lines = changedLines(diffLines(yamlLines(change.before), yamlLines(change.after)), context);
  return [heading(scope, change, style), ...lines.map((line) => renderLine(line, style)), ''].join('\n');
}

function heading(scope: string, change: Change, style: Style): string {
  const what = printableLine(`${change.kind} ${scope}/${change.name}`);
  if (change.operation === Change_Operation.CREATE) return style.good(`+ ${what}`);
  return change.operation === Change_Operation.DELETE ? style.bad(`- ${what}`) : style.doubtful(`~ ${what}`);
}

function yamlLines(spec: unknown): readonly string[] {
  if (spec === undefined) return [];
  return renderYaml(spec).trimEnd().split('\n');
}

function renderLine(line: DiffLine | 'gap', style: Style): string {
  if (line === 'gap') return style.dim('      …');
  const text = `  ${line.mark} ${printable(line.text)}`;
  if (line.mark === ' ') return style.dim(text);
  return line.mark === '+' ? style.good(text) : style.bad(text);
}
