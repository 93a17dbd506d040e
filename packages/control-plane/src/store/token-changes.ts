import { operatorScope } from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';

import type { Database } from './database.ts';

export interface TokenChangesOptions {
  readonly database: Pick<Database, 'read'>;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** How old an answer may be, in milliseconds. */
  readonly maxAgeMs: number;
}

interface Check {
  readonly state: Promise<string>;
  readonly untilMs: number;
}

/**
 * Tells whether any token has changed, by one statement for all of them: thousands of streams ask again and again whether
 * their credentials are still good, and hardly any credential ever changes.
 *
 * Tokens are never deleted, a revocation is never taken back, tenants only leave a token, and a renewal changes its end and
 * its serial numbers: so numbers and sums over all of them tell every change that matters.
 */
export class TokenChanges {
  readonly #options: TokenChangesOptions;
  #check: Check | undefined;

  constructor(options: TokenChangesOptions) {
    this.#options = options;
  }

  /** A text that differs whenever a token has changed. @throws if the database does not answer. */
  async state(): Promise<string> {
    const { clock, maxAgeMs } = this.#options;
    if (this.#check && this.#check.untilMs > clock.monotonic()) return this.#check.state;
    const check = { state: this.#read(), untilMs: clock.monotonic() + maxAgeMs };
    this.#check = check;
    try {
      return await check.state;
    } catch (error) {
      if (this.#check === check) this.#check = undefined;
      throw error;
    }
  }

  /** Something was changed here: it has to be asked anew. */
  forget(): void {
    this.#check = undefined;
  }

  async #read(): Promise<string> {
    const [row] = await this.#options.database.read(
      operatorScope,
      ({ sql }) => sql<
        { state: string }[]
      >`select concat_ws(' ', count(*), count(revoked_at), sum(cardinality(tenants)),
          sum(extract(epoch from expires_at)), sum(hashtextextended(array_to_string(serials, ' '), 0))) as state
        from signalbox.token`,
    );
    return row?.state ?? '';
  }
}
