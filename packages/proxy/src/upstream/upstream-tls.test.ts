import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { CertificateAuthority, makeAuthority } from '@signalbox/certificates';
import type { HttpVersion, UpstreamTlsEntry } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientCertificates } from './client-certificates.ts';
import { collect } from './collect.ts';
import { GatheredAnswer } from '../testing/gathered-answer.ts';
import { echoed, Http2Backend } from '../testing/http2-backend.ts';
import { HttpClient } from './http-client.ts';
import { defaultHttp1ClientLimits } from './http1-client.ts';
import { defaultHttp2ClientLimits } from './http2-client.ts';
import type { UpstreamRequest } from './upstream.ts';

const forever = { notBeforeMs: 0, notAfterMs: 4_000_000_000_000 };
let authority: CertificateAuthority;
let folder: string;
let server: Server;
/** Common names of the clients' certificates, empty without one. */
const shown: (string | undefined)[] = [];

async function issue(usage: 'client' | 'server'): Promise<{ cert: string; key: string }> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const request = { publicKey: publicKey.export({ type: 'spki', format: 'der' }), usage, ...forever };
  const { pem } = await authority.issue({ ...request, dnsNames: ['orders.example'] });
  return { cert: pem, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

function writeCertificate(name: string, { cert, key }: { cert: string; key: string }): void {
  mkdirSync(join(folder, 'acme', name), { recursive: true });
  writeFileSync(join(folder, 'acme', name, 'tls.crt'), cert);
  writeFileSync(join(folder, 'acme', name, 'tls.key'), key);
}

beforeAll(async () => {
  const made = await makeAuthority('backends', forever.notBeforeMs, forever.notAfterMs);
  authority = await CertificateAuthority.load(made.certificate, made.privateKey);
  folder = mkdtempSync(join(tmpdir(), 'certificates-'));
  const own = await issue('server');
  server = createServer({ ...own, ca: authority.certificate, requestCert: true, rejectUnauthorized: false });
  server.on('request', (request, response) => {
    shown.push((request.socket as TLSSocket).getPeerCertificate().serialNumber?.toLowerCase());
    response.setHeader('connection', 'close').end('ok');
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const clock = new ManualClock();
const logger = new MemoryLogger();

const trusted = () => ({ hostname: 'orders.example', caCertificates: authority.certificate });
const own = () => `https://127.0.0.1:${(server.address() as AddressInfo).port}`;

function clientOf(lookMs = 0) {
  const certificates = new ClientCertificates({ folder, lookMs, clock, logger });
  const metrics = new Metrics();
  const limits = { http1: defaultHttp1ClientLimits, http2: defaultHttp2ClientLimits };
  const client = new HttpClient({ ...limits, clock, metrics, certificates });
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics.expose())?.[1]);
  return { client, value, [Symbol.dispose]: () => client.close() };
}

function requestTo(origin: string, tls: Partial<UpstreamTlsEntry> | null, http: HttpVersion): UpstreamRequest {
  return {
    ...{ origin, poolKey: 'k', method: 'GET', target: '/', headers: [], body: undefined, safeToResend: true },
    timeouts: { connectMs: 1_000, headMs: 1_000, idleMs: 1_000, totalMs: 1_000 },
    peer: {
      ...{ tenant: 'acme', http },
      tls: tls && { hostname: '', caCertificates: '', verify: true, clientCertificate: '', ...tls },
      connection: { connectMs: null, idleMs: null, maxConnections: null, maxPending: null },
    },
  };
}

/** What comes of a request to a server under these settings: its status, or why there is none. */
async function outcome(
  tls: Partial<UpstreamTlsEntry> | null,
  { origin = own(), http = 'http1' }: { origin?: string; http?: HttpVersion } = {},
): Promise<number | string> {
  using test = clientOf();
  const result = await collect(test.client, requestTo(origin, tls, http), 1_000);
  return 'answer' in result ? result.answer.head.status : result.failure;
}

describe('TLS towards a backend', () => {
  it('takes a server whose certificate is of the given authority and for the given name', async () => {
    expect(await outcome({ hostname: 'orders.example', caCertificates: authority.certificate })).toBe(200);
  });

  it('refuses a certificate of another authority, or for another name', async () => {
    expect(await outcome(null)).toMatch(/SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY/);
    expect(await outcome({ hostname: 'orders.example' })).toMatch(/SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY/);
    const named = { hostname: 'other.example', caCertificates: authority.certificate };
    expect(await outcome(named)).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('takes any server when it is told not to look', async () => {
    expect(await outcome({ verify: false })).toBe(200);
  });

  it('fails, and nothing else does, when the authorities cannot be read', async () => {
    expect(await outcome({ caCertificates: 'no certificate' })).toMatch(/^the connection failed/);
  });
});

describe('the certificate shown to a backend', () => {
  it('comes from the folder of the tenant, and a new one after it was replaced', async () => {
    const [first, second] = [await issue('client'), await issue('client')];
    writeCertificate('gateway', first);
    expect(await outcome({ ...trusted(), clientCertificate: 'gateway' })).toBe(200);
    writeCertificate('gateway', second);
    expect(await outcome({ ...trusted(), clientCertificate: 'gateway' })).toBe(200);
    const [before, after] = shown.slice(-2);
    expect(before).toMatch(/^[0-9a-f]{32}$/);
    expect(after).not.toBe(before);
  });

  it('is needed: without it no connection is made, and the log says where it should be', async () => {
    expect(await outcome({ ...trusted(), clientCertificate: 'missing' })).toMatch(/^the connection failed/);
    expect(JSON.stringify(logger.lines)).toContain(join('acme', 'missing'));
  });

  it('is looked at again only after a while', () => {
    const certificates = new ClientCertificates({ folder, lookMs: 1_000, clock, logger });
    const first = certificates.find('acme', 'gateway');
    expect(first).toBeDefined();
    rmSync(join(folder, 'acme', 'gateway'), { recursive: true });
    expect(certificates.find('acme', 'gateway')).toBe(first);
  });

  it('is none where no folder is set', () => {
    expect(new ClientCertificates({ folder: '', lookMs: 0, clock, logger }).find('acme', 'gateway')).toBeUndefined();
  });
});

describe('the version of HTTP', () => {
  /** Speaks HTTP/2 to whoever agrees on it, HTTP/1.1 to others. */
  async function both(): Promise<Http2Backend> {
    const options = { ...(await issue('server')), ca: authority.certificate, requestCert: true, allowHTTP1: true };
    return Http2Backend.start(
      (stream) => {
        const session = stream.session?.socket as TLSSocket;
        shown.push(session.getPeerCertificate().serialNumber?.toLowerCase());
        stream.respond({ ':status': 200 });
        stream.end('ok');
      },
      { ...options, rejectUnauthorized: false },
    );
  }

  it('is agreed on in the handshake of the first connection, which is then used', async () => {
    await using backend = await both();
    using test = clientOf();
    const request = requestTo(backend.origin, trusted(), 'negotiated');
    const first = await Promise.all([0, 1, 2].map(() => collect(test.client, request, 100)));
    const later = await collect(test.client, request, 100);
    for (const got of [...first, later]) expect(got).toMatchObject({ answer: { head: { status: 200 } } });
    expect([backend.streams.length, backend.sockets.length]).toEqual([4, 1]);
    expect(test.value('signalbox_upstream_http2_connections')).toBe(1);
  });

  it('is 1.1 where the backend knows no other, on the connection that said so', async () => {
    using test = clientOf();
    const before = shown.length;
    const request = requestTo(own(), trusted(), 'negotiated');
    expect(await collect(test.client, request, 100)).toMatchObject({ answer: { head: { status: 200 } } });
    expect(test.value('signalbox_upstream_connections_opened_total')).toBe(1);
    expect(shown).toHaveLength(before + 1);
  });

  it('may be agreed on while a body is being sent', async () => {
    await using backend = await Http2Backend.start(echoed, { ...(await issue('server')), allowHTTP1: true });
    using test = clientOf();
    const upload = { method: 'POST', streamed: 'chunked', safeToResend: false } as const;
    const answer = new GatheredAnswer();
    answer.exchange = test.client.dispatch(
      { ...requestTo(backend.origin, trusted(), 'negotiated'), ...upload },
      answer,
    );
    expect(answer.exchange.write(Buffer.from('one '))).toBe(false);
    answer.exchange.pause();
    answer.exchange.resume();
    await answer.begun;
    expect(answer.writable).toBeGreaterThan(0);
    answer.exchange.write(Buffer.from('two'));
    answer.exchange.endBody();
    expect(await answer.over).toMatchObject({ calls: ['head', 'end'], body: 'one two' });
    const whole = new GatheredAnswer();
    await using other = await both();
    whole.exchange = test.client.dispatch({ ...requestTo(other.origin, trusted(), 'negotiated'), ...upload }, whole);
    whole.exchange.write(Buffer.from('x'));
    whole.exchange.endBody();
    expect(await whole.over).toMatchObject({ calls: ['head', 'end'], body: 'ok' });
  });

  it('is agreed on anew when no connection is left', async () => {
    await using backend = await both();
    using test = clientOf();
    const request = requestTo(backend.origin, trusted(), 'negotiated');
    await collect(test.client, request, 100);
    test.client.retain(new Set());
    expect(test.value('signalbox_upstream_http2_connections')).toBe(0);
    await collect(test.client, request, 100);
    expect(backend.sockets).toHaveLength(2);
  });

  it('is 2 alone where that is declared, and 1.1 alone', async () => {
    await using backend = await both();
    const { origin } = backend;
    expect(await outcome(trusted(), { origin, http: 'http2' })).toBe(200);
    expect(backend.streams).toHaveLength(1);
    expect(await outcome(trusted(), { http: 'http2' })).toMatch(/NO_APPLICATION_PROTOCOL/);
  });

  it('changes nothing about whom is trusted, nor what is shown', async () => {
    await using backend = await both();
    const { origin } = backend;
    for (const http of ['http2', 'negotiated'] as const) {
      expect(await outcome(null, { origin, http })).toMatch(/SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY/);
      const named = { ...trusted(), hostname: 'other.example' };
      expect(await outcome(named, { origin, http })).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
      writeCertificate('gateway', await issue('client'));
      expect(await outcome({ ...trusted(), clientCertificate: 'gateway' }, { origin, http })).toBe(200);
      expect(shown.at(-1)).toMatch(/^[0-9a-f]{32}$/);
      expect(await outcome({ ...trusted(), clientCertificate: 'none' }, { origin, http })).toMatch(
        /^the connection fai/,
      );
    }
  });

  it('is not waited for longer than connecting may take, nor by too many, nor by whoever left', async () => {
    const deaf = createTcpServer();
    await new Promise<void>((resolve) => void deaf.listen(0, '127.0.0.1', resolve));
    using test = clientOf();
    const request = requestTo(`https://127.0.0.1:${(deaf.address() as AddressInfo).port}`, null, 'negotiated');
    const answers = Array.from({ length: defaultHttp1ClientLimits.maxWaiting + 1 }, () => new GatheredAnswer());
    const [first, second, ...others] = answers.map((answer) => {
      answer.exchange = test.client.dispatch(request, answer);
      return answer;
    });
    expect((await others.at(-1)?.over)?.error?.code).toBe('pool-full');
    first?.exchange?.abort();
    await clock.advance(1_200);
    expect((await second?.over)?.error).toMatchObject({ code: 'connect-timeout', notAccepted: true });
    expect(first?.calls).toEqual([]);
    deaf.close();
  });
});
