import { randomBytes, randomUUID } from 'node:crypto';

/** Randomness as a dependency: cryptographic in production, seeded in tests. */
export interface Random {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** `count` unpredictable bytes. */
  bytes(count: number): Buffer;
  /** A random (version 4) UUID. */
  uuid(): string;
}

/** The operating system's generator. */
export const systemRandom: Random = {
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  bytes: (count) => randomBytes(count),
  uuid: () => randomUUID(),
};
