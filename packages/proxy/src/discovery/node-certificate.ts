import { createPrivateKey, X509Certificate } from 'node:crypto';
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSigningRequest, subjectUris } from '@signalbox/certificates';
import {
  Backoff,
  type Clock,
  type Logger,
  type Metrics,
  type Random,
  type Secret,
  writeDurably,
} from '@signalbox/runtime';
import type { AdsClientTls } from '@signalbox/xds';
import { type JoinClient, JoinRefused, type SignedCertificate } from './join-client.ts';

export interface NodeCertificateOptions {
  /** Folder of the key and the certificate; created when missing. */
  readonly folder: string;
  readonly node: string;
  /** Gateway that this node serves. */
  readonly gateway: string;
  /** Buys the first certificate; absent: there has to be one on disk. */
  readonly joinToken: Secret | undefined;
  readonly client: JoinClient;
  readonly rootCertificates: () => Buffer | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

interface Held {
  readonly certificateChain: Buffer;
  readonly privateKey: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const retry = { minMs: 1_000, maxMs: 60_000, stableAfterMs: 1 };
/** A timer takes no more; then the time is looked at again. */
const longestSleepMs = 86_400_000;

/**
 * The certificate by which the control plane knows this node. Its key is made here and never leaves. It comes from the
 * disk, or is bought with the join token; it is replaced at half of its life, tried again and again from then on, so that
 * an outage of the control plane of the other half does not matter. Without the control plane the node serves on in any
 * case: the certificate is for talking to it.
 */
export class NodeCertificate {
  readonly #options: NodeCertificateOptions;
  readonly #stopping = new AbortController();
  #held: Held | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: NodeCertificateOptions) {
    this.#options = options;
    const expiry = options.metrics.gauge(
      'signalbox_proxy_certificate_expires_timestamp_seconds',
      'When the certificate of this node expires, in seconds since the epoch; 0 while there is none.',
    );
    options.metrics.onCollect(() => expiry.set((this.#held?.notAfterMs ?? 0) / 1_000));
  }

  /** What to show the control plane. Call after `ready`. */
  get tls(): AdsClientTls {
    return { rootCertificates: this.#options.rootCertificates(), identity: this.#held };
  }

  /**
   * Calls `ready` once there is a valid certificate: at once if one is on disk. Keeps it valid from then on. Without a
   * certificate and a token to buy one with the node is on its own: it serves what it has on disk.
   */
  async start(ready: () => void): Promise<void> {
    const { joinToken, folder, logger } = this.#options;
    this.#held = await this.#load();
    if (!this.#held && !joinToken) {
      const advice = 'set SIGNALBOX_PROXY_JOIN_TOKEN to a new join token';
      logger.error(`this node cannot reach its control plane without a valid certificate: ${advice}`, { folder });
    }
    this.#running = this.#run(ready);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the node stops'));
    await this.#running;
  }

  async #run(ready: () => void): Promise<void> {
    const { joinToken, client, node } = this.#options;
    if (!this.#held && joinToken) await this.#obtain((request) => client.join(joinToken, node, request));
    if (this.#stopping.signal.aborted || !this.#held) return;
    ready();
    while (!this.#stopping.signal.aborted && (await this.#renewalIsDue())) {
      if (!(await this.#obtain((request) => client.renew(request, this.tls)))) return;
    }
  }

  /** Resolves at half of the certificate's life; false if the node stops before. */
  async #renewalIsDue(): Promise<boolean> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (this.#held && !signal.aborted) {
      const leftMs = (this.#held.notBeforeMs + this.#held.notAfterMs) / 2 - clock.now();
      if (leftMs <= 0) return true;
      await clock.sleep(Math.min(leftMs, longestSleepMs), signal).catch(() => undefined);
    }
    return false;
  }

  /** Until there is another certificate. False if there will be none, or the node stops. */
  async #obtain(ask: (signingRequest: string) => Promise<SignedCertificate>): Promise<boolean> {
    const { clock, random, logger } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(retry, clock, random);
    while (!signal.aborted) {
      try {
        const { privateKey, request } = await createSigningRequest();
        await this.#take(await ask(request), privateKey);
        return true;
      } catch (error) {
        const expires = this.#held && new Date(this.#held.notAfterMs).toISOString();
        if (error instanceof JoinRefused) {
          logger.error('the control plane refuses this node a certificate', { reason: error.message, expires });
          return false;
        }
        logger.warn('no certificate could be had; trying again', { error: String(error), expires });
        await clock.sleep(backoff.nextDelayMs(), signal).catch(() => undefined);
      }
    }
    return false;
  }

  async #take(certificate: SignedCertificate, privateKey: string): Promise<void> {
    const { folder, gateway, clock, logger } = this.#options;
    const { pem, notAfterMs } = certificate;
    // Certificates begin in the past, for clocks that are behind: their life is what is left of it.
    const notBeforeMs = Math.max(certificate.notBeforeMs, clock.now());
    if (certificate.gateway !== gateway) {
      const reason = `the certificate is for the gateway "${certificate.gateway}", this node serves "${gateway}"`;
      throw new JoinRefused(`${reason}: set SIGNALBOX_PROXY_GATEWAY, or create another join token`);
    }
    if (!new X509Certificate(pem).checkPrivateKey(createPrivateKey(privateKey))) {
      throw new Error('the certificate that was sent is for another key');
    }
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // One file, so that key and certificate always belong together.
    await writeDurably(fileIn(folder), [Buffer.from(privateKey + pem)]);
    const [certificateChain, key] = [Buffer.from(pem), Buffer.from(privateKey)];
    this.#held = { certificateChain, privateKey: key, notBeforeMs, notAfterMs };
    logger.info('this node has a certificate', { expires: new Date(notAfterMs).toISOString() });
  }

  /** What is on disk, if it is for this node and still valid. */
  async #load(): Promise<Held | undefined> {
    const { folder, clock, logger, gateway, node } = this.#options;
    const text = await readFile(fileIn(folder), 'utf8').catch(() => '');
    const at = text.indexOf('-----BEGIN CERTIFICATE-----');
    if (at < 0) return undefined;
    try {
      const certificate = new X509Certificate(text.slice(at));
      const [notBeforeMs, notAfterMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
      const isOurs = subjectUris(certificate).some((uri) => uri.endsWith(`/gateway/${gateway}/node/${node}`));
      if (!isOurs || notAfterMs <= clock.now()) {
        const expires = new Date(notAfterMs).toISOString();
        logger.warn('the certificate on disk is of no use: it is for another node, or has expired', { expires });
        return undefined;
      }
      const [certificateChain, privateKey] = [Buffer.from(text.slice(at)), Buffer.from(text.slice(0, at))];
      createPrivateKey(privateKey);
      return { certificateChain, privateKey, notBeforeMs, notAfterMs };
    } catch (error) {
      logger.error('the certificate on disk cannot be read', { error: String(error) });
      return undefined;
    }
  }
}

/** Whether a node has left its certificate in the folder. */
export function hasJoined(folder: string): Promise<boolean> {
  return access(fileIn(folder)).then(
    () => true,
    () => false,
  );
}

function fileIn(folder: string): string {
  return join(folder, 'node.pem');
}
