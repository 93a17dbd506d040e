import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { TlsFiles, TlsMaterial } from '@signalbox/runtime';

/**
 * Credentials of a gRPC server that follow files. A client may show a certificate that one of the trusted has signed, or
 * none: who it is, and whether it has to, is judged by request.
 */
export function reloadingCredentials(files: TlsFiles): ServerCredentials {
  const provider = new FileProvider(files);
  // In grpc-js 1.14 the first parameter gives the server's own certificate, whatever its name says.
  return experimental.createCertificateProviderServerCredentials(provider, files.value.ca ? provider : null, false);
}

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** Tells each listener what there is, at once and whenever it is replaced. */
class FileProvider implements experimental.CertificateProvider {
  readonly #files: TlsFiles;
  readonly #subscriptions = new Map<CaListener | IdentityListener, Disposable>();

  constructor(files: TlsFiles) {
    this.#files = files;
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#add(listener, ({ ca }) => listener(ca ? { caCertificate: ca } : null));
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#add(listener, ({ cert, key }) => listener(cert && key ? { certificate: cert, privateKey: key } : null));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#remove(listener);
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#remove(listener);
  }

  #add(listener: CaListener | IdentityListener, tell: (material: TlsMaterial) => void): void {
    this.#subscriptions.set(listener, this.#files.onChange(tell));
    // Not at once: the server listens to its credentials only after they listen here.
    process.nextTick(() => tell(this.#files.value));
  }

  #remove(listener: CaListener | IdentityListener): void {
    this.#subscriptions.get(listener)?.[Symbol.dispose]();
    this.#subscriptions.delete(listener);
  }
}
