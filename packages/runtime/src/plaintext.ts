import type { Logger } from './logger.ts';
import type { HostPort } from './settings.ts';

export interface Connection {
  readonly address: HostPort;
  /** What goes over it, for people: `the admin API`. */
  readonly purpose: string;
  readonly isSecure: boolean;
  /** Settings that would make it secure. */
  readonly remedy: string;
}

/**
 * Sees to it that credentials do not leave this machine without TLS, unless somebody has said that they may; then it is
 * logged.
 * @throws Error that says what to set.
 */
export function requireProtection(
  { address, purpose, isSecure, remedy }: Connection,
  { isAllowed, logger }: { readonly isAllowed: boolean; readonly logger: Logger },
): void {
  if (isSecure || isLoopback(address.host)) return;
  const text = `${address.host}:${address.port}`;
  if (!isAllowed) {
    throw new Error(
      `credentials for ${purpose} at ${text} would go without TLS: set ${remedy}, or SIGNALBOX_ALLOW_PLAINTEXT=true if something else protects the way`,
    );
  }
  logger.warn('credentials go without TLS: SIGNALBOX_ALLOW_PLAINTEXT says that something else protects the way', {
    ...{ address: text, purpose },
  });
}

function isLoopback(host: string): boolean {
  return /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[?::1\]?)$/.test(host);
}
