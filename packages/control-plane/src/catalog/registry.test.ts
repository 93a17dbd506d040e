import { describe, expect, it } from 'vitest';

import { pageOf, type RegisteredServer } from './registry.ts';

const server = (name: string, day: number): RegisteredServer => ({
  ...{ name: `acme/${name}`, version: `1.${day}.0`, description: `about ${name}`, response: {} },
  updatedAt: new Date(Date.UTC(2026, 10, day)),
});
const servers = [server('c', 3), server('a', 1), server('b', 2), server('d', 4)];
const names = (page: ReturnType<typeof pageOf>) => page.servers.map(({ name }) => name);

describe('a page of the registry', () => {
  it('comes in the order of names, and each page says where the next one goes on', () => {
    const first = pageOf(servers, { limit: 3 });
    expect([names(first), first.next]).toEqual([['acme/a', 'acme/b', 'acme/c'], 'acme/c']);
    const second = pageOf(servers, { limit: 3, after: first.next });
    expect([names(second), second.next]).toEqual([['acme/d'], undefined]);
  });

  it('says that there is no next one when it holds the last', () => {
    expect(pageOf(servers, { limit: 4 }).next).toBeUndefined();
    expect(pageOf([], { limit: 4 })).toEqual({ servers: [], next: undefined });
  });

  it('holds what was asked for', () => {
    expect(names(pageOf(servers, { limit: 9, search: 'ABOUT B' }))).toEqual(['acme/b']);
    expect(names(pageOf(servers, { limit: 9, updatedSince: new Date(Date.UTC(2026, 10, 3)) }))).toEqual([
      'acme/c',
      'acme/d',
    ]);
    expect(names(pageOf(servers, { limit: 9, version: '1.2.0' }))).toEqual(['acme/b']);
    expect(names(pageOf(servers, { limit: 9, version: 'latest' }))).toHaveLength(4);
  });
});
