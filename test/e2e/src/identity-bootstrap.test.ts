import { crc32 } from 'node:zlib';

import { controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { adminClient, createDatabase } from '@signalbox/test-harness';
import { describe, expect, inject, it } from 'vitest';

import { refusalOf } from './api-fixture.ts';

/** A well-formed token with the same id for every digit. */
function credential(digit: string): string {
  const body = `sbk_00000000000000aa_${digit.repeat(64)}`;
  return `${body}_${crc32(body).toString(16).padStart(8, '0')}`;
}

const first = credential('1');

function start(databaseUrl: string, bootstrap: string) {
  const settings = readSettings(controlPlaneSettings, {
    DATABASE_URL: databaseUrl,
    SIGNALBOX_API_LISTEN: '127.0.0.1:0',
    SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
    SIGNALBOX_BOOTSTRAP_TOKEN: bootstrap,
  });
  return startControlPlane({ settings, logger: new MemoryLogger() });
}

describe('the bootstrap token', () => {
  it('is the operator’s from the first start, whoever lost all others, until it is revoked', async () => {
    const database = await createDatabase(inject('pgUrl'));
    for (let starts = 0; starts < 2; starts += 1) {
      const running = await start(database, first);
      expect(running.operatorToken).toBeUndefined();
      const { tokens } = await adminClient(running.apiUrl, first).tokens.listTokens({});
      expect(tokens.map(({ name }) => name)).toEqual(['bootstrap']);
      if (starts === 1) await adminClient(running.apiUrl, first).tokens.revokeToken({ id: '00000000000000aa' });
      await running.stop();
    }
    await expect(start(database, first)).rejects.toThrow('was revoked');
  });

  it('lets nobody in by another secret with its id', async () => {
    const running = await start(await createDatabase(inject('pgUrl')), first);
    const other = credential('2');
    expect(await refusalOf(adminClient(running.apiUrl, other).tokens.listTokens({}))).toMatchObject({
      code: 'Unauthenticated',
    });
    await running.stop();
  });

  it('has to be a token', async () => {
    await expect(start(await createDatabase(inject('pgUrl')), 'password')).rejects.toThrow('token generate');
  });
});
