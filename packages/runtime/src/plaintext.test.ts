import { describe, expect, it } from 'vitest';
import { requireProtection } from './plaintext.ts';
import { MemoryLogger } from './testing/memory-logger.ts';

const api = { purpose: 'the admin API', isSecure: false, remedy: 'SIGNALBOX_TLS_CERT and SIGNALBOX_TLS_KEY' };
const at = (host: string) => ({ ...api, address: { host, port: 7070 } });

describe('credentials without TLS', () => {
  it.each(['127.0.0.1', '127.3.2.1', 'localhost', '::1', '[::1]'])('stay on this machine at %s', (host) => {
    const logger = new MemoryLogger();
    requireProtection(at(host), { isAllowed: false, logger });
    expect(logger.lines).toEqual([]);
  });

  it.each(['0.0.0.0', '::', '10.0.0.7', 'control.example', 'localhost.example', '127.0.0.1.example'])(
    'do not leave it at %s: the error says what to set',
    (host) => {
      const check = () => requireProtection(at(host), { isAllowed: false, logger: new MemoryLogger() });
      expect(check).toThrow(/SIGNALBOX_TLS_CERT.*SIGNALBOX_ALLOW_PLAINTEXT=true/);
    },
  );

  it('leave it when somebody says that they may, and the log says so', () => {
    const logger = new MemoryLogger();
    requireProtection(at('10.0.0.7'), { isAllowed: true, logger });
    expect(logger.lines).toMatchObject([{ level: 'warn', fields: { address: '10.0.0.7:7070' } }]);
  });

  it('are none with TLS', () => {
    const secure = { ...at('10.0.0.7'), isSecure: true };
    expect(() => requireProtection(secure, { isAllowed: false, logger: new MemoryLogger() })).not.toThrow();
  });
});
