// The library asks for this polyfill before it is loaded.
import 'reflect-metadata';

export * from '@peculiar/x509';

/** ECDSA on P-256: small, fast to sign, and known to every TLS. */
export const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
