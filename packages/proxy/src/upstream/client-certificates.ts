import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Logger } from '@signalbox/runtime';

/** A certificate with its key, in PEM. Another object after it was replaced. */
export interface ClientCertificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface ClientCertificatesOptions {
  /** Folder with `<tenant>/<name>/tls.crt` and `tls.key`; empty: there are none. */
  readonly folder: string;
  /** For how long what was read, or was not there, is taken as it was, in milliseconds. */
  readonly lookMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Logger;
}

/**
 * Certificates that backends are shown, read when a connection needs one. Tenants and names are labels of DNS, so a path
 * never leaves the folder. Bounded: what was read first is forgotten first.
 */
export class ClientCertificates {
  readonly #options: ClientCertificatesOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: ClientCertificatesOptions) {
    this.#options = options;
  }

  /** The certificate as it lies on the disk, at most `lookMs` ago; undefined when it is not there or cannot be read. */
  find(tenant: string, name: string): ClientCertificate | undefined {
    const { folder, lookMs, clock } = this.#options;
    if (folder === '') return undefined;
    const key = `${tenant}/${name}`;
    const known = this.#known.get(key);
    const now = clock.monotonic();
    if (known && now - known.lookedAt < lookMs) return known.certificate;
    const certificate = this.#read(join(folder, tenant, name), known?.certificate);
    if (!known && this.#known.size >= maxKnown) this.#forgetOldest();
    this.#known.set(key, { certificate, lookedAt: now });
    return certificate;
  }

  /** Files that are half replaced do not fit each other: the connection fails, and the next look sees them whole. */
  #read(path: string, before: ClientCertificate | undefined): ClientCertificate | undefined {
    try {
      const [cert, key] = ['tls.crt', 'tls.key'].map((file) => readPem(join(path, file))) as [Buffer, Buffer];
      return before?.cert.equals(cert) === true && before.key.equals(key) ? before : { cert, key };
    } catch (error) {
      this.#options.logger.error('a client certificate cannot be read', { path, error: String(error) });
      return undefined;
    }
  }

  #forgetOldest(): void {
    const oldest = this.#known.keys().next();
    if (!oldest.done) this.#known.delete(oldest.value);
  }
}

interface Known {
  readonly certificate: ClientCertificate | undefined;
  readonly lookedAt: number;
}

const maxKnown = 1_000;
const maxFileBytes = 1024 * 1024;

/** Some kilobytes, once in a while and only for a new connection: not worth a wait. */
function readPem(path: string): Buffer {
  if (statSync(path).size > maxFileBytes) throw new Error(`${path} is larger than ${maxFileBytes} bytes`);
  return readFileSync(path);
}
