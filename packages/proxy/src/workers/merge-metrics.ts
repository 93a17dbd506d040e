/** What one process says of itself, in Prometheus text. */
export interface Exposition {
  /** Put on each of its series; undefined: none. */
  readonly worker: number | undefined;
  readonly text: string;
}

interface Family {
  readonly head: string[];
  readonly samples: string[];
}

/** One exposition of several: each metric once, its series labelled with the worker that they are of. */
export function mergeMetrics(expositions: readonly Exposition[]): string {
  const families = new Map<string, Family>();
  for (const { worker, text } of expositions) {
    let family: Family | undefined;
    let isNew = false;
    let name = '';
    for (const line of text.split('\n')) {
      if (line === '') continue;
      if (line.startsWith('#')) {
        const named = line.split(' ')[2] ?? '';
        if (named !== name) {
          isNew = !families.has(named);
          family = families.get(named) ?? { head: [], samples: [] };
          families.set(named, family);
          name = named;
        }
        if (isNew) family?.head.push(line);
      } else family?.samples.push(worker === undefined ? line : labelled(line, worker));
    }
  }
  return `${[...families.values()].flatMap(({ head, samples }) => [...head, ...samples]).join('\n')}\n`;
}

/** `name 1` → `name{worker="0"} 1`; `name{a="b"} 1` → `name{worker="0",a="b"} 1`. */
function labelled(sample: string, worker: number): string {
  const label = `worker="${worker}"`;
  const brace = sample.indexOf('{');
  const space = sample.indexOf(' ');
  if (brace < 0 || brace > space) return `${sample.slice(0, space)}{${label}}${sample.slice(space)}`;
  return `${sample.slice(0, brace + 1)}${label},${sample.slice(brace + 1)}`;
}
