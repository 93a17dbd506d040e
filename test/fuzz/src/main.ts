// Reads many generated bodies as the gateway and as others do: see README.md.
import { parseArgs } from 'node:util';

import { fuzzEnvelope } from './envelope.ts';
import { v8, yaml } from './parsers.ts';
import { startPython } from './python-parsers.ts';

const { values } = parseArgs({
  options: { inputs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const python = await startPython();
const parsers = [v8, yaml, ...(python?.parsers ?? [])];
if (!python) console.log('no python3 on the path: its readings are left out');
console.log(`parsers: ${parsers.map(({ name }) => name).join('; ')}`);
const all = Number(values.inputs);
const stride = 50_000;
let [accepted, messages, failed] = [0, 0, 0];
for (let done = 0; done < all; done += stride) {
  const seed = Number(values.seed) + done / stride;
  const result = await fuzzEnvelope(seed, Math.min(stride, all - done), parsers);
  accepted += result.accepted;
  messages += result.messages;
  failed += result.disagreements.length;
  for (const { parser, input, what } of result.disagreements.slice(0, 20))
    console.log(`${parser}: ${what}\n  ${input}`);
  const so = `${done + result.inputs} inputs, ${accepted} taken (${messages} messages), ${failed} disagreements`;
  console.log(`seed ${seed}: ${so}`);
}
python?.stop();
process.exit(failed === 0 ? 0 : 1);
