/** What labels have to be like. */
export interface LabelSelector {
  /** As somebody wrote it. */
  readonly text: string;
  matches(labels: Readonly<Record<string, string>>): boolean;
}

type Requirement = (labels: Readonly<Record<string, string>>) => boolean;

const limits = { text: 1_000, requirements: 32 };
const key = '[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?';
const presence = new RegExp(`^(!?)\\s*(${key})$`);
const equality = new RegExp(`^(${key})\\s*(==|=|!=)\\s*([^,()=!]*)$`);
const membership = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);

/**
 * Reads a label selector in the notation that people know from Kubernetes: requirements of which all must hold, separated
 * by commas: `key`, `!key`, `key=value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`. The negative ones also hold for
 * labels without the key.
 * @returns what is wrong, as text, if it is none.
 */
export function parseLabelSelector(text: string): LabelSelector | string {
  if (text.length > limits.text) return `a label selector has at most ${limits.text} characters`;
  const parts = text.split(/,(?![^(]*\))/).map((part) => part.trim());
  if (parts.length > limits.requirements) return `a label selector has at most ${limits.requirements} requirements`;
  const requirements: Requirement[] = [];
  for (const part of parts) {
    const requirement = requirementOf(part);
    if (!requirement) {
      return `"${part}" is no requirement of a label selector: write key, !key, key=value, key!=value, key in (a, b) or key notin (a, b)`;
    }
    requirements.push(requirement);
  }
  return { text, matches: (labels) => requirements.every((requirement) => requirement(labels)) };
}

function requirementOf(part: string): Requirement | undefined {
  const [, not, name] = presence.exec(part) ?? [];
  if (name !== undefined) return (labels) => Object.hasOwn(labels, name) === (not === '');
  const [, left, operator, right = ''] = equality.exec(part) ?? [];
  if (left !== undefined) return oneOf(left, [right.trim()], operator !== '!=');
  const [, subject, relation, list = ''] = membership.exec(part) ?? [];
  if (subject === undefined) return undefined;
  return oneOf(
    subject,
    list.split(',').map((value) => value.trim()),
    relation === 'in',
  );
}

function oneOf(name: string, values: readonly string[], expected: boolean): Requirement {
  return (labels) => (Object.hasOwn(labels, name) && values.includes(labels[name] ?? '')) === expected;
}
