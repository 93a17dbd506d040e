import { describe, expect, it } from 'vitest';
import { choice, flag, hostPort, integer, readSettings, secret, SettingsError, text } from './settings.ts';

const declarations = {
  name: text({ name: 'SIGNALBOX_NAME', fallback: 'node', doc: 'A name.' }),
  limit: integer({ name: 'SIGNALBOX_LIMIT', fallback: '10', unit: 'bytes', min: 1, max: 100, doc: 'A bound.' }),
  on: flag({ name: 'SIGNALBOX_ON', fallback: 'false', doc: 'A switch.' }),
  mode: choice({ name: 'SIGNALBOX_MODE', fallback: 'fast', options: ['fast', 'safe'], doc: 'A mode.' }),
  listen: hostPort({ name: 'SIGNALBOX_LISTEN', fallback: '127.0.0.1:80', doc: 'An address.' }),
  token: secret({ name: 'SIGNALBOX_TOKEN', doc: 'A credential.' }),
};

describe('readSettings', () => {
  it('takes defaults for what the environment does not give', () => {
    const settings = readSettings(declarations, { SIGNALBOX_LIMIT: '100' });
    expect(settings).toEqual({
      name: 'node',
      limit: 100,
      on: false,
      mode: 'fast',
      listen: { host: '127.0.0.1', port: 80 },
      token: undefined,
    });
  });

  it('reports every unusable variable in one error, with its name and what was expected', () => {
    const environment = {
      SIGNALBOX_LIMIT: '101',
      SIGNALBOX_ON: 'yes',
      SIGNALBOX_MODE: 'slow',
      SIGNALBOX_LISTEN: '127.0.0.1',
    };
    const expected = new SettingsError([
      'SIGNALBOX_LIMIT: expected an integer from 1 to 100 (bytes), got "101"',
      'SIGNALBOX_ON: expected true or false, got "yes"',
      'SIGNALBOX_MODE: expected one of fast, safe, got "slow"',
      'SIGNALBOX_LISTEN: expected host:port, got "127.0.0.1"',
    ]);
    expect(() => readSettings(declarations, environment)).toThrow(expected);
  });

  it('names a required variable that is missing', () => {
    const required = { url: text({ name: 'SIGNALBOX_URL', doc: 'Where to.' }) };
    expect(() => readSettings(required, {})).toThrow('SIGNALBOX_URL is required (text): Where to.');
  });

  it('reads an IPv6 address in brackets', () => {
    const settings = readSettings(declarations, { SIGNALBOX_LISTEN: '[::1]:8080' });
    expect(settings.listen).toEqual({ host: '::1', port: 8080 });
  });

  it('never prints a secret', () => {
    const settings = readSettings(declarations, { SIGNALBOX_TOKEN: 'hunter2' });
    expect(settings.token?.reveal()).toBe('hunter2');
    expect(JSON.stringify(settings)).not.toContain('hunter2');
    expect(String(settings.token)).toBe('[redacted]');
  });
});
