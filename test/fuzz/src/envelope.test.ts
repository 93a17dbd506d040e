import { expect, it } from 'vitest';
import { fuzzEnvelope } from './envelope.ts';
import { type Parser, readingsOfValue, v8, yaml } from './parsers.ts';

it('What is forwarded says to other parsers what was authorised.', async () => {
  const result = await fuzzEnvelope(20_261_122, 3_000, [v8, yaml]);
  expect(result.disagreements).toEqual([]);
  expect(result.accepted).toBeGreaterThan(1_000);
});

it('A reader who takes another name is found out.', async () => {
  const deaf: Parser = {
    name: 'deaf to escapes',
    read: async (texts) =>
      texts.map((text) =>
        readingsOfValue(JSON.parse(text.toString('utf8').replaceAll(String.raw`\u00`, String.raw`\u01`))),
      ),
  };
  expect((await fuzzEnvelope(1, 500, [deaf])).disagreements).not.toEqual([]);
});
