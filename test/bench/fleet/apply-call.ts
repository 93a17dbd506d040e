import { Agent, request } from 'node:http';

/** What the benchmark writes. */
export interface ApplyBody {
  readonly scope: string;
  readonly resources: readonly object[];
  readonly requestId?: string;
}

const path = '/signalbox.admin.v1.ConfigService/Apply';

/**
 * Applies resources over the API, as JSON on connections that are kept: it shares the machine with what is measured, and takes
 * a fifth of what a whole client takes.
 */
export class ApplyCaller {
  readonly #agent = new Agent({ keepAlive: true });
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(apiUrl: string, token: string) {
    this.#url = new URL(path, apiUrl);
    this.#headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  }

  /** @returns the revision. @throws Error with what the API says. */
  async apply(body: ApplyBody): Promise<number> {
    const text = await this.#post(JSON.stringify(body));
    return Number((JSON.parse(text) as { readonly revision: string }).revision);
  }

  #post(body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { ...this.#headers, 'content-length': Buffer.byteLength(body) };
      const call = request(this.#url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
      });
      call.on('error', reject);
      call.end(body);
    });
  }
}
