import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CertificateAuthority, createSigningRequest, makeAuthority, readSigningRequest } from '@signalbox/certificates';

/** An authority of a test, with its files. */
export interface TestAuthority {
  readonly authority: CertificateAuthority;
  /** PEM files: the authority's certificate and its key. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly ca: Buffer;
  /** Writes a certificate for 127.0.0.1 and localhost, or for a client with a URI, and its key. */
  write(name: string, options?: WriteOptions): Promise<WrittenCertificate>;
}

interface WriteOptions {
  /** Makes it a client's. */
  readonly uri?: string;
  readonly notAfterMs?: number;
}

interface WrittenCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
  readonly serial: string;
}

const hourMs = 3_600_000;

export async function testAuthority(folder: string, name = 'test authority'): Promise<TestAuthority> {
  await mkdir(folder, { recursive: true });
  const now = Date.now();
  const { certificate, privateKey } = await makeAuthority(name, now - hourMs, now + 24 * hourMs);
  const authority = await CertificateAuthority.load(certificate, privateKey);
  const put = async (file: string, text: string) => {
    const path = join(folder, file);
    await writeFile(path, text);
    return path;
  };
  const write = async (file: string, options: WriteOptions = {}) => {
    const identity = await createSigningRequest();
    const request = await readSigningRequest(identity.request);
    if ('problem' in request) throw new Error(request.problem);
    const issued = await authority.issue({
      publicKey: request.publicKey,
      ...(options.uri === undefined
        ? { usage: 'server', dnsNames: ['localhost'], addresses: ['127.0.0.1'] }
        : { usage: 'client', uris: [options.uri] }),
      notBeforeMs: now - hourMs,
      notAfterMs: options.notAfterMs ?? now + hourMs,
    });
    const [cert, key] = [issued.pem, identity.privateKey];
    return {
      cert,
      key,
      serial: issued.serial,
      certFile: await put(`${file}.crt`, cert),
      keyFile: await put(`${file}.key`, key),
    };
  };
  const [certFile, keyFile] = [await put('ca.crt', certificate), await put('ca.key', privateKey)];
  return { authority, certFile, keyFile, ca: Buffer.from(certificate), write };
}
