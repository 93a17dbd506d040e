import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateAuthority, makeAuthority, nodeUri, readSigningRequest } from '@signalbox/certificates';
import { Metrics, Secret } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type JoinClient, JoinRefused, type SignedCertificate } from './join-client.ts';
import { hasJoined, NodeCertificate, type NodeCertificateOptions } from './node-certificate.ts';

const hourMs = 3_600_000;
let authority: CertificateAuthority;
let folder = '';
beforeAll(async () => {
  const { certificate, privateKey } = await makeAuthority('nodes', 0, 4_000_000_000_000);
  authority = await CertificateAuthority.load(certificate, privateKey);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-certificate-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A control plane whose certificates live for two hours; it can be out of reach, or unwilling. */
class Signer implements JoinClient {
  readonly asked: string[] = [];
  failure: Error | undefined;
  gateway = 'edge';
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  join(token: Secret, node: string, request: string) {
    return this.#sign(`join ${node} ${token.reveal()}`, request);
  }

  renew(request: string) {
    return this.#sign('renew', request);
  }

  async #sign(what: string, signingRequest: string): Promise<SignedCertificate> {
    this.asked.push(what);
    if (this.failure) throw this.failure;
    const read = await readSigningRequest(signingRequest);
    if ('problem' in read) throw new Error(read.problem);
    const [notBeforeMs, notAfterMs] = [this.#clock.now() - 60_000, this.#clock.now() + 2 * hourMs];
    const uris = [nodeUri('test', { gateway: this.gateway, node: 'node-1' })];
    const { publicKey } = read;
    const { pem } = await authority.issue({ publicKey, uris, usage: 'client', notBeforeMs, notAfterMs });
    return { pem, gateway: this.gateway, notBeforeMs, notAfterMs };
  }
}

function fixture(clock = new ManualClock(), more: Partial<NodeCertificateOptions> = {}) {
  const signer = new Signer(clock);
  const logger = new MemoryLogger();
  let ready = 0;
  const certificate = new NodeCertificate({
    ...{ folder, node: 'node-1', gateway: 'edge', joinToken: new Secret('once'), client: signer },
    ...{ rootCertificates: () => undefined, clock, random: new SeededRandom(1), logger, metrics: new Metrics() },
    ...more,
  });
  const start = () => certificate.start(() => void (ready += 1));
  return { certificate, signer, clock, logger, start, ready: () => ready };
}

const shown = ({ certificate: { tls } }: Pick<ReturnType<typeof fixture>, 'certificate'>) =>
  [tls.identity?.certificateChain, tls.identity?.privateKey].map(String);

describe('the certificate of a node', () => {
  it('is bought with the join token, once, and kept for the owner’s eyes', async () => {
    const first = fixture();
    await first.start();
    await expect.poll(first.ready).toBe(1);
    expect(first.signer.asked).toEqual(['join node-1 once']);
    expect((await stat(join(folder, 'node.pem'))).mode & 0o777).toBe(0o600);
    await first.certificate.stop();
    expect(await hasJoined(folder)).toBe(true);

    const second = fixture(first.clock, { joinToken: undefined });
    await second.start();
    expect(second.ready()).toBe(1);
    expect(second.signer.asked).toEqual([]);
    expect(shown(second)).toEqual(shown(first));
    await second.certificate.stop();
  });

  it('is renewed at half of its life with another key, also when the control plane was away meanwhile', async () => {
    const { certificate, signer, clock, start, ready } = fixture();
    await start();
    await expect.poll(ready).toBe(1);
    const before = await readFile(join(folder, 'node.pem'), 'utf8');
    signer.failure = new Error('14 UNAVAILABLE');
    await clock.advance(hourMs - 1);
    expect(signer.asked).toHaveLength(1);
    await clock.advance(1);
    await expect.poll(() => signer.asked.length).toBe(2);
    signer.failure = undefined;
    await expect
      .poll(async () => {
        await clock.advance(60_000);
        return (await readFile(join(folder, 'node.pem'), 'utf8')) === before;
      })
      .toBe(false);
    expect(signer.asked.slice(1)).toEqual(Array.from({ length: signer.asked.length - 1 }, () => 'renew'));
    await certificate.stop();
  });

  it('is asked for until the control plane can be reached', async () => {
    const { certificate, signer, clock, start, ready } = fixture();
    signer.failure = new Error('14 UNAVAILABLE');
    await start();
    await expect.poll(() => signer.asked.length).toBe(1);
    signer.failure = undefined;
    await expect
      .poll(async () => {
        await clock.advance(10_000);
        return ready();
      })
      .toBe(1);
    await certificate.stop();
  });

  it('is not asked for again once it was refused, or is for another gateway', async () => {
    const refused = fixture();
    refused.signer.failure = new JoinRefused('the token was used');
    await refused.start();
    await expect.poll(() => refused.logger.lines.filter(({ level }) => level === 'error').length).toBe(1);
    const other = fixture();
    other.signer.gateway = 'core';
    await other.start();
    await expect.poll(() => other.logger.lines.filter(({ level }) => level === 'error').length).toBe(1);
    for (const { clock, signer, ready, certificate } of [refused, other]) {
      await clock.advance(hourMs);
      expect([signer.asked.length, ready()]).toEqual([1, 0]);
      await certificate.stop();
    }
    expect(await hasJoined(folder)).toBe(false);
  });

  it('that has expired, or is another node’s, is of no use, and that is said', async () => {
    const first = fixture();
    await first.start();
    await expect.poll(first.ready).toBe(1);
    await first.certificate.stop();
    const stranger = fixture(first.clock, { joinToken: undefined, node: 'node-2' });
    await first.clock.advance(3 * hourMs);
    for (const { start, ready, logger } of [stranger, fixture(first.clock, { joinToken: undefined })]) {
      await start();
      expect([ready(), logger.lines.filter(({ level }) => level === 'error').length]).toEqual([0, 1]);
    }
  });
});
