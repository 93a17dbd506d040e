import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { CertificateAuthority, makeAuthority } from '@signalbox/certificates';
import type { UpstreamTlsEntry } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientCertificates } from './client-certificates.ts';
import { collect } from './collect.ts';
import { defaultHttp1ClientLimits, Http1Client } from './http1-client.ts';

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

/** What comes of a request to the server under these settings: its status, or why there is none. */
async function outcome(tls: Partial<UpstreamTlsEntry> | null, lookMs = 0): Promise<number | string> {
  const certificates = new ClientCertificates({ folder, lookMs, clock, logger });
  const client = new Http1Client({ limits: defaultHttp1ClientLimits, clock, metrics: new Metrics(), certificates });
  const result = await collect(
    client,
    {
      ...{ origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, poolKey: 'k', method: 'GET' },
      ...{ target: '/', headers: [], body: undefined, safeToResend: true },
      timeouts: { connectMs: 1_000, headMs: 1_000, idleMs: 1_000, totalMs: 1_000 },
      peer: {
        tenant: 'acme',
        tls: tls && { hostname: '', caCertificates: '', verify: true, clientCertificate: '', ...tls },
        connection: { connectMs: null, idleMs: null, maxConnections: null, maxPending: null },
      },
    },
    1_000,
  );
  client.close();
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
  const trusted = () => ({ hostname: 'orders.example', caCertificates: authority.certificate });

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
