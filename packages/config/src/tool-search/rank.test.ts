import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankTools, toolDocument } from './rank.ts';
import { termsOf } from './terms.ts';

const tool = (name: string, description = '', parameters: readonly string[] = [], title = '') =>
  toolDocument({ name, title, description, parameters });

const tools = [
  tool('weather__get_forecast', 'The weather of the next days', ['city', 'days']),
  tool('gh__search_issues', 'Finds issues of a repository', ['query', 'repository']),
  tool('gh__create_issue', 'Opens a new issue', ['title', 'body', 'repository']),
  tool('mail__send', 'Sends a message', ['to', 'subject'], 'Send mail'),
];

const found = (question: string) => rankTools(question, tools).map((at) => tools[at]?.name ?? '');

describe('the words of a text', () => {
  it.each([
    ['getForecast', ['get', 'forecast']],
    ['get_forecasts', ['get', 'forecast']],
    ['weather__get-forecast.v2', ['weather', 'get', 'forecast', 'v2']],
    ['parseHTTPServer2Url', ['parse', 'http', 'server2', 'url']],
    ['Queries, addresses; status', ['query', 'addresse', 'status']],
    ['天気 Ångström', ['天', '気', 'ångström']],
    ['…', []],
  ])('of %j are %j', (text, terms) => {
    expect(termsOf(text)).toEqual(terms);
  });
});

describe('search', () => {
  it('finds tools by name, title, description and names of arguments', () => {
    expect(found('forecast')).toEqual(['weather__get_forecast']);
    expect(found('send an email')).toEqual(['mail__send']);
    expect(found('next days')).toEqual(['weather__get_forecast']);
    expect(found('city')).toEqual(['weather__get_forecast']);
  });

  it('puts the best match first', () => {
    expect(found('create issue')[0]).toBe('gh__create_issue');
    expect(found('search issues in a repository')[0]).toBe('gh__search_issues');
  });

  it('values a word in a name above one in a description', () => {
    const ranked = rankTools('weather', [tool('a', 'weather here'), tool('weather', 'nothing here')]);
    expect(ranked).toEqual([1, 0]);
  });

  it('finds words by their beginning', () => {
    expect(found('repo').toSorted()).toEqual(['gh__create_issue', 'gh__search_issues']);
    expect(found('rep')).toEqual([]);
  });

  it('puts the tool first whose name is the question', () => {
    expect(found('mail__send')[0]).toBe('mail__send');
  });

  it('finds nothing for words that nobody has, and for none', () => {
    expect([found('banana'), found(''), found('?')]).toEqual([[], [], []]);
  });

  it('has the same answer to the same question, and equal matches in their order', () => {
    const same = [tool('a', 'x'), tool('b', 'x'), tool('c', 'x')];
    expect(rankTools('x', same)).toEqual([0, 1, 2]);
    const document = fc
      .record({ name: fc.string(), title: fc.string(), description: fc.lorem(), parameters: fc.array(fc.string()) })
      .map(toolDocument);
    fc.assert(
      fc.property(fc.lorem(), fc.array(document, { maxLength: 12 }), (question, documents) => {
        const ranked = rankTools(question, documents);
        expect(rankTools(question, documents)).toEqual(ranked);
        expect(new Set(ranked).size).toBe(ranked.length);
      }),
    );
  });
});
