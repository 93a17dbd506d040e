import { createPrivateKey, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';

import { CertificateAuthority, makeAuthority, type NewAuthority } from './authority.ts';
import { createSigningRequest, readSigningRequest } from './signing-request.ts';
import { nodeUri, parseNodeUri, subjectUris } from './spiffe.ts';

const from = Date.UTC(2026, 0, 1);
const to = Date.UTC(2027, 0, 1);
let made: NewAuthority;
let authority: CertificateAuthority;
beforeAll(async () => {
  made = await makeAuthority('nodes', from, to);
  authority = await CertificateAuthority.load(made.certificate, made.privateKey);
});

async function requested() {
  const identity = await createSigningRequest();
  const read = await readSigningRequest(identity.request);
  if ('problem' in read) throw new Error(read.problem);
  return { ...identity, publicKey: read.publicKey };
}

describe('an authority', () => {
  it('signs what its certificate can be verified with, for the key of the request', async () => {
    const { publicKey, privateKey } = await requested();
    const uri = nodeUri('example.org', { gateway: 'edge', node: 'node-1' });
    const issued = await authority.issue({
      publicKey,
      uris: [uri],
      usage: 'client',
      notBeforeMs: from,
      notAfterMs: to,
    });
    const certificate = new X509Certificate(issued.pem);
    expect(certificate.verify(new X509Certificate(made.certificate).publicKey)).toBe(true);
    expect(certificate.checkIssued(new X509Certificate(made.certificate))).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
    expect(subjectUris(certificate)).toEqual([uri]);
    expect(certificate.serialNumber.toLowerCase()).toBe(issued.serial);
    expect([certificate.ca, certificate.keyUsage]).toEqual([false, ['1.3.6.1.5.5.7.3.2']]);
  });

  it('signs nothing that outlives itself', async () => {
    const { publicKey } = await requested();
    const issued = await authority.issue({ publicKey, usage: 'server', notBeforeMs: from, notAfterMs: to * 2 });
    expect(Date.parse(new X509Certificate(issued.pem).validTo)).toBe(to);
  });

  it('is not made of a certificate of another kind, or with another key', async () => {
    const { publicKey, privateKey } = await requested();
    const { pem } = await authority.issue({ publicKey, usage: 'server', notBeforeMs: from, notAfterMs: to });
    await expect(CertificateAuthority.load(pem, privateKey)).rejects.toThrow('not one of an authority');
    await expect(CertificateAuthority.load(made.certificate, privateKey)).rejects.toThrow(
      'not that of the certificate',
    );
  });
});

describe('a signing request', () => {
  it('is refused when it was changed, is too long, or is something else', async () => {
    const { request } = await createSigningRequest();
    const der = Buffer.from(request.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1;
    const changed = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
    expect(await readSigningRequest(changed)).toHaveProperty('problem');
    expect(await readSigningRequest(made.certificate)).toHaveProperty('problem');
    expect(await readSigningRequest('x'.repeat(10_000))).toHaveProperty('problem');
    expect(await readSigningRequest('')).toHaveProperty('problem');
  });
});

describe('the URI of a node', () => {
  it('names gateway and node within a trust domain', () => {
    const uri = nodeUri('example.org', { gateway: 'edge', node: 'node-1.b' });
    expect(uri).toBe('spiffe://example.org/gateway/edge/node/node-1.b');
    expect(parseNodeUri(uri, 'example.org')).toEqual({ gateway: 'edge', node: 'node-1.b' });
  });

  it.each([
    'spiffe://other.org/gateway/edge/node/a',
    'spiffe://example.org/gateway/edge/node/a/b',
    'spiffe://example.org/gateway/edge/node/',
    'spiffe://example.org/gateway/../node/a',
    'spiffe://example.org/gateway/edge/node/a?x',
    'https://example.org/gateway/edge/node/a',
    ' spiffe://example.org/gateway/edge/node/a',
  ])('is not %s', (uri) => {
    expect(parseNodeUri(uri, 'example.org')).toBeUndefined();
  });

  it('cannot be made of parts that would change its meaning', () => {
    expect(() => nodeUri('example.org', { gateway: 'a/node/b', node: 'c' })).toThrow('SPIFFE');
    expect(() => nodeUri('Example.org', { gateway: 'a', node: 'c' })).toThrow('SPIFFE');
  });

  it('is not read from a list with quoted names', () => {
    expect(subjectUris({ subjectAltName: 'URI:spiffe://a/b, DNS:"x, URI:spiffe://c/d"' })).toEqual([]);
  });
});
