import { webcrypto } from 'node:crypto';

import { algorithm, Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from './x509.ts';

/** A new key, which stays where it was made, and the request for a certificate of it. */
export interface PrivateIdentity {
  /** PKCS #8 in PEM. */
  readonly privateKey: string;
  /** PKCS #10 in PEM. */
  readonly request: string;
}

/** Makes a key and a request that proves its possession. What the certificate says is for its issuer to decide. */
export async function createSigningRequest(): Promise<PrivateIdentity> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=node',
    keys,
    signingAlgorithm: algorithm,
  });
  return { privateKey: await privateKeyPem(keys.privateKey), request: request.toString('pem') };
}

/** A request that holds what it has to. */
export interface SigningRequest {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer;
}

/** Longest request that is read, in characters: one of ours has about 400. */
const maxLength = 8_192;

/**
 * Reads a request and checks that whoever made it has the key. Nothing else in it counts.
 * @returns why it cannot be used, as a problem.
 */
export async function readSigningRequest(pem: string): Promise<SigningRequest | { readonly problem: string }> {
  if (pem.length > maxLength) return { problem: `the request is longer than ${maxLength} characters` };
  try {
    const request = new Pkcs10CertificateRequest(pem);
    const { name, namedCurve } = request.publicKey.algorithm as { name: string; namedCurve?: string };
    if (name !== algorithm.name || namedCurve !== algorithm.namedCurve)
      return { problem: 'the key must be ECDSA on P-256' };
    if (!(await request.verify())) return { problem: 'the request is not signed by its own key' };
    return { publicKey: Buffer.from(request.publicKey.rawData) };
  } catch {
    return { problem: 'it is no certificate signing request in PEM' };
  }
}

export async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}
