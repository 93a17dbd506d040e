import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from 'yaml';

/**
 * The node of a field in a document, by a path such as `spec.members[0].backend` or `spec.labels["a/b"]`: the key of a
 * mapping's entry, the entry of a list. A field that is not there gives the nearest node around it.
 */
export function findNode(document: Document.Parsed, path: string): Node | undefined {
  let value: Node | null = document.contents;
  let found: Node | undefined = document.contents ?? undefined;
  for (const step of stepsOf(path)) {
    if (isAlias(value)) value = value.resolve(document) ?? null;
    if (typeof step === 'number' && isSeq(value)) {
      value = (value.items[step] ?? null) as Node | null;
      if (value === null) return found;
      found = value;
    } else if (typeof step === 'string' && isMap(value)) {
      const pair = value.items.find((item) => isScalar(item.key) && item.key.value === step);
      if (pair === undefined) return found;
      found = pair.key as Node;
      value = pair.value as Node | null;
    } else {
      return found;
    }
  }
  return found;
}

/** The keys and positions that a path is made of. */
function stepsOf(path: string): (string | number)[] {
  const steps: (string | number)[] = [];
  for (const [, name, position, quoted] of path.matchAll(/([^.[\]]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/g)) {
    if (name !== undefined) steps.push(name);
    else if (position !== undefined) steps.push(Number(position));
    else if (quoted !== undefined) steps.push(JSON.parse(quoted) as string);
  }
  return steps;
}
