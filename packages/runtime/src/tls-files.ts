import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** Certificates, key and trusted certificates as TLS takes them, in PEM. Its fields fit `tls.SecureContextOptions`. */
export interface TlsMaterial {
  /** The own certificate, with intermediates. */
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  /** Certificates that those of the other side must be signed by. */
  readonly ca: Buffer | undefined;
}

export interface TlsFilesOptions {
  /** What the files are for, in logs and metrics: `api`, `discovery`. */
  readonly purpose: string;
  /** Paths of PEM files; empty: none. What several files of authorities hold is trusted alike. */
  readonly files: { readonly cert: string; readonly key: string; readonly ca: readonly string[] };
  /** How often to look whether they have changed, in milliseconds. */
  readonly pollMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A file of certificates is some kilobytes; nobody's mistake shall fill the memory. */
const maxFileBytes = 1024 * 1024;

/**
 * TLS from files that are replaced while the process runs. They are looked at by content, since those who replace them
 * rename folders, links or files. What cannot be used is reported and changes nothing: what was read before stays.
 */
export class TlsFiles {
  readonly #options: TlsFilesOptions;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  readonly #poll: Disposable;
  #value: TlsMaterial;
  #problem = '';
  #looking: Promise<void> | undefined;

  private constructor(options: TlsFilesOptions, material: TlsMaterial) {
    const { purpose, metrics, clock, pollMs } = options;
    this.#options = options;
    this.#value = material;
    const labels = { purpose };
    const expiry = metrics.gauge(
      'signalbox_tls_certificate_expires_timestamp_seconds',
      'When the certificate that is used expires, in seconds since the epoch.',
      labels,
    );
    const failing = metrics.gauge(
      'signalbox_tls_files_refused',
      '1 while files on disk cannot be used and what was read before is used on.',
      labels,
    );
    metrics.onCollect(() => {
      if (this.#value.cert) expiry.set(expiresAtMs(this.#value.cert) / 1_000);
      failing.set(this.#problem === '' ? 0 : 1);
    });
    this.#poll = clock.interval(pollMs, () => void this.look());
  }

  /** Reads the files and watches them. @throws Error saying which cannot be used, and why. */
  static async open(options: TlsFilesOptions): Promise<TlsFiles> {
    const material = await readMaterial(options.files);
    checkMaterial(material);
    return new TlsFiles(options, material);
  }

  get value(): TlsMaterial {
    return this.#value;
  }

  /** Calls back with every other material that is used from then on. */
  onChange(listener: (material: TlsMaterial) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Looks at the files now. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  stop(): void {
    this.#poll[Symbol.dispose]();
    this.#listeners.clear();
  }

  async #look(): Promise<void> {
    const { files, logger, purpose } = this.#options;
    try {
      const material = await readMaterial(files);
      if (!sameMaterial(material, this.#value)) {
        checkMaterial(material);
        this.#value = material;
        for (const listener of this.#listeners) listener(material);
        const expires = material.cert && new Date(expiresAtMs(material.cert)).toISOString();
        logger.info('TLS files were replaced', { purpose, expires });
      }
      this.#problem = '';
    } catch (error) {
      const problem = String(error);
      if (problem !== this.#problem)
        logger.error('TLS files cannot be used; the ones before are', { purpose, problem });
      this.#problem = problem;
    }
  }
}

/** When the first certificate of a PEM text expires, in milliseconds since the epoch. */
function expiresAtMs(pem: Buffer): number {
  return Date.parse(new X509Certificate(pem).validTo);
}

async function readMaterial({ cert, key, ca }: TlsFilesOptions['files']): Promise<TlsMaterial> {
  if ((cert === '') !== (key === '')) throw new Error('a certificate and its key belong together: set both or none');
  const authorities = await Promise.all(ca.map(readPem));
  const lines = authorities.flatMap((pem) => (pem ? [pem, Buffer.from('\n')] : []));
  return {
    cert: await readPem(cert),
    key: await readPem(key),
    ca: lines.length > 0 ? Buffer.concat(lines) : undefined,
  };
}

async function readPem(path: string): Promise<Buffer | undefined> {
  if (path === '') return undefined;
  const { size } = await stat(path);
  if (size > maxFileBytes) throw new Error(`${path} is larger than ${maxFileBytes} bytes`);
  return readFile(path);
}

/** @throws Error if TLS would not take it, or the key is not that of the certificate. */
function checkMaterial({ cert, key, ca }: TlsMaterial): void {
  if (ca && !ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('there is no certificate in the CA file');
  createSecureContext({ ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) });
  if (cert && key && !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error('the key is not that of the certificate');
  }
}

function sameMaterial(one: TlsMaterial, other: TlsMaterial): boolean {
  return same(one.cert, other.cert) && same(one.key, other.key) && same(one.ca, other.ca);
}

function same(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one && other ? one.equals(other) : one === other;
}
