import type { FederatedMember, Federation } from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import { type MemberGreeting, mergeCapabilities, mergeInstructions } from './merge-greetings.ts';

describe('what members can do together', () => {
  it('is what one of them can; every list may change; what is not carried is left out', () => {
    const merged = mergeCapabilities([
      greeting({
        capabilities: {
          tools: {},
          resources: { subscribe: false },
          tasks: { list: {}, cancel: {} },
          experimental: { a: { x: 1 } },
        },
      }),
      greeting({
        capabilities: { resources: { subscribe: true }, experimental: { a: { y: 2 }, b: {} }, unknown: { z: 3 } },
      }),
      greeting({
        capabilities: { extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.modelcontextprotocol/ui': {} } },
      }),
      greeting({ capabilities: 'nonsense' }),
    ]);
    expect(merged).toEqual({
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      experimental: { a: { x: 1, y: 2 }, b: {} },
      unknown: { z: 3 },
      tasks: { cancel: {} },
      extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.modelcontextprotocol/ui': {} },
    });
  });
});

describe('instructions', () => {
  it('stand below the name of their member, after those of the virtual server', () => {
    const greetings = [greeting({ instructions: 'A.' }), greeting({ instructions: '' }), greeting({ instructions: 7 })];
    expect(mergeInstructions(federation(), greetings)).toBe('All.\n\n# one\n\nA.');
    expect(mergeInstructions(federation({ members: 'leave-out' }), greetings)).toBe('All.');
    expect(mergeInstructions(federation({ text: '' }), [greeting({ instructions: 'A.' })])).toBe('A.');
  });

  it('are cut at the bound, never within a character', () => {
    const greetings = [greeting({ instructions: 'ä'.repeat(100) })];
    for (let maxBytes = 5; maxBytes < 60; maxBytes += 1) {
      const merged = mergeInstructions(federation({ text: '', maxBytes }), greetings);
      expect(Buffer.byteLength(merged)).toBeGreaterThanOrEqual(maxBytes - 1);
      expect(merged).toMatch(/^ä+$/);
    }
  });
});

function greeting(said: Partial<MemberGreeting>): MemberGreeting {
  return { member: { key: 'one' } as FederatedMember, capabilities: undefined, instructions: undefined, ...said };
}

function federation(instructions: Partial<Federation['instructions']> = {}): Federation {
  return { instructions: { text: 'All.', members: 'merge', maxBytes: 1_000, ...instructions } } as Federation;
}
