import type { Logger } from './logger.ts';
import { flag, type HostPort } from './settings.ts';

/** Every process that sends or takes credentials has this setting. */
export const allowPlaintext = flag({
  name: 'SIGNALBOX_ALLOW_PLAINTEXT',
  fallback: 'false',
  doc: 'Whether credentials may leave this machine without TLS: true where something else protects the way, such as a mesh or a terminator in front. Otherwise the start is refused.',
});

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
