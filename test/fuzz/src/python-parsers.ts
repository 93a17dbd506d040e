import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type Parser, readingsOfValue } from './parsers.ts';

/**
 * Python's own parser, asked for keys in their order, and read in three ways: of repeated keys the first counts, as with some
 * parsers of C and Java; the last; or, as with Go's, the last of any spelling in upper and lower case. Undefined without a Python.
 */
export async function startPython(): Promise<{ readonly parsers: readonly Parser[]; stop(): void } | undefined> {
  const child = spawn('python3', ['-c', program], { stdio: ['pipe', 'pipe', 'pipe'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const started = await Promise.race([
    lines.next().then(({ value }) => value === 'ready'),
    new Promise<boolean>((resolve) => child.once('error', () => resolve(false))),
  ]);
  if (!started) return undefined;
  const parsers = (['first', 'last', 'folded'] as const).map((way): Parser => {
    return { name: `Python, ${way} key`, read: (texts) => ask(child, lines, way, texts) };
  });
  return { parsers, stop: () => void child.stdin.end() };
}

async function ask(
  { stdin }: ChildProcessWithoutNullStreams,
  lines: AsyncIterator<string>,
  way: string,
  texts: readonly Buffer[],
): ReturnType<Parser['read']> {
  stdin.write(texts.map((text) => `${way} ${text.toString('base64')}\n`).join(''));
  const readings: Awaited<ReturnType<Parser['read']>>[number][] = [];
  for (let at = 0; at < texts.length; at += 1) {
    const { value } = await lines.next();
    readings.push(value === 'refused' ? undefined : readingsOfValue(JSON.parse(String(value), number)));
  }
  return readings;
}

/** Numbers come as the texts that they were, so that each is read by the same code. */
function number(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('\u0000number' in value)) return value;
  return Number(value['\u0000number']);
}

const program = `
import base64, json, sys
NUMBER = '\\0number'
def number(text): return {NUMBER: text}
def first(pairs):
    found = {}
    for key, value in pairs: found.setdefault(key, value)
    return found
RESERVED = {key: key for key in ('jsonrpc', 'id', 'method', 'params', 'result', 'error', 'name', 'arguments', '_meta', 'uri')}
def fold(key): return RESERVED.get(key.replace('\\u017f', 's').replace('\\u212a', 'k').lower(), key)
def folded(pairs): return {fold(key): value for key, value in pairs}
WAYS = {'first': first, 'last': dict, 'folded': folded}
print('ready', flush=True)
for line in sys.stdin:
    way, _, text = line.rstrip('\\n').partition(' ')
    try:
        raw = base64.b64decode(text).decode('utf-8')
        said = json.loads(raw, object_pairs_hook=WAYS[way], parse_int=number, parse_float=number)
        print(json.dumps(said))
    except (ValueError, RecursionError):
        print('refused')
    sys.stdout.flush()
`;
