import { createPrivateKey, randomBytes, webcrypto, X509Certificate as NodeCertificate } from 'node:crypto';

import { privateKeyPem } from './signing-request.ts';
import {
  algorithm,
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectKeyIdentifierExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from './x509.ts';

export interface IssueRequest {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer;
  /** Alternative names. A node has its URI and nothing else. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly addresses?: readonly string[];
  /** What it may be used for. */
  readonly usage: 'client' | 'server';
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface IssuedCertificate {
  readonly pem: string;
  /** Hex, lower case, as in `serialOf`. */
  readonly serial: string;
}

export interface NewAuthority {
  readonly certificate: string;
  /** PKCS #8 in PEM. */
  readonly privateKey: string;
}

/** Signs certificates with a key that it holds. ECDSA on P-256 only. */
export class CertificateAuthority {
  /** Its own certificate in PEM. */
  readonly certificate: string;
  readonly #issuer: X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: string, issuer: X509Certificate, key: webcrypto.CryptoKey) {
    this.certificate = certificate;
    this.#issuer = issuer;
    this.#key = key;
  }

  /** @throws Error if the certificate is none of an authority, or the key is not its own. */
  static async load(certificate: string, privateKey: string): Promise<CertificateAuthority> {
    const own = new NodeCertificate(certificate);
    const key = createPrivateKey(privateKey);
    if (!own.ca) throw new Error('the certificate is not one of an authority (basic constraints CA:TRUE)');
    if (!own.checkPrivateKey(key)) throw new Error('the key is not that of the certificate');
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('the key must be ECDSA on P-256');
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const signer = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
    return new CertificateAuthority(own.toString(), new X509Certificate(own.raw), signer);
  }

  /** Signs a certificate with a random serial number. It ends with the authority's own at the latest. */
  async issue(request: IssueRequest): Promise<IssuedCertificate> {
    const serial = newSerial();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial,
      subject: 'CN=signalbox',
      issuer: this.#issuer.subjectName,
      notBefore: new Date(request.notBeforeMs),
      notAfter: new Date(Math.min(request.notAfterMs, this.#issuer.notAfter.getTime())),
      publicKey: new PublicKey(request.publicKey),
      signingKey: this.#key,
      signingAlgorithm: algorithm,
      extensions: [...extensionsOf(request), await AuthorityKeyIdentifierExtension.create(this.#issuer.publicKey)],
    });
    return { pem: `${certificate.toString('pem')}\n`, serial };
  }
}

/** Makes an authority: a key and a certificate that it has signed itself. */
export async function makeAuthority(name: string, notBeforeMs: number, notAfterMs: number): Promise<NewAuthority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [name] }],
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      // By it the right one is found among authorities of the same name.
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, privateKey: await privateKeyPem(keys.privateKey) };
}

/** 127 random bits: positive, and never with leading zeros, which other programs leave out. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function extensionsOf({ uris = [], dnsNames = [], addresses = [], usage }: IssueRequest): Extension[] {
  const names = [
    ...uris.map((value) => ({ type: 'url', value }) as const),
    ...dnsNames.map((value) => ({ type: 'dns', value }) as const),
    ...addresses.map((value) => ({ type: 'ip', value }) as const),
  ];
  const purpose = usage === 'client' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth;
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([purpose]),
    new SubjectAlternativeNameExtension(names),
  ];
}
