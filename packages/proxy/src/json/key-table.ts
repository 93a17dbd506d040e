/**
 * Keys seen in the objects of one document, to find repeated ones. Open addressing over typed arrays that are reused
 * from document to document, so that a key costs a probe and no allocation.
 *
 * 1. Entries of earlier documents are recognised by number (`base`) instead of being cleared.
 * 2. Slots are at most half full; a probe run beyond `maxRun` cannot happen by chance, so it is reported as an attack
 *    on the hash instead of being followed.
 */
export class KeyTable {
  #slots = new Int32Array(smallestSize);
  #owners = new Int32Array(smallestSize / 2);
  #hashes = new Int32Array(smallestSize / 2);
  #starts = new Int32Array(smallestSize / 2);
  #ends = new Int32Array(smallestSize / 2);
  /** Entry numbers up to this one belong to earlier documents. */
  #base = 0;
  #count = 0;
  #bytes: Uint8Array = nothing;
  /** Keys that were written with escapes, decoded; their start is `-1 - index`. */
  readonly #decoded: Uint8Array[] = [];

  /** Begins a document. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#base += this.#count;
    this.#count = 0;
    if (this.#slots.length > largestKept) this.#resize(smallestSize);
    else if (this.#base > 0x3fff_ffff) this.#clear();
  }

  /** Lets go of the document. */
  finish(): void {
    this.#bytes = nothing;
    this.#decoded.length = 0;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds the key at [start, end) of the object numbered `owner`. @param hash `hashKey` of its bytes. */
  add(owner: number, hash: number, start: number, end: number): 'added' | 'repeated' | 'attack' {
    if (this.#count * 2 >= this.#slots.length) this.#grow();
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = place(owner, hash) & mask;
    for (let run = 0; run < maxRun; run += 1) {
      const entry = (slots[slot] as number) - this.#base - 1;
      if (entry < 0) {
        this.#owners[this.#count] = owner;
        this.#hashes[this.#count] = hash;
        this.#starts[this.#count] = start;
        this.#ends[this.#count] = end;
        this.#count += 1;
        slots[slot] = this.#base + this.#count;
        return 'added';
      }
      if (this.#owners[entry] === owner && this.#hashes[entry] === hash && this.#same(entry, start, end)) {
        return 'repeated';
      }
      slot = (slot + 1) & mask;
    }
    return 'attack';
  }

  /** The same for a key that was written with escapes. */
  addDecoded(owner: number, key: Uint8Array): 'added' | 'repeated' | 'attack' {
    this.#decoded.push(key);
    return this.add(owner, hashKey(key, 0, key.length), -this.#decoded.length, key.length);
  }

  #same(entry: number, start: number, end: number): boolean {
    const otherStart = this.#starts[entry] as number;
    const otherFrom = otherStart < 0 ? 0 : otherStart;
    const from = start < 0 ? 0 : start;
    const length = end - from;
    if ((this.#ends[entry] as number) - otherFrom !== length) return false;
    const other = otherStart < 0 ? (this.#decoded[-1 - otherStart] as Uint8Array) : this.#bytes;
    const mine = start < 0 ? (this.#decoded[-1 - start] as Uint8Array) : this.#bytes;
    for (let i = 0; i < length; i += 1) if (other[otherFrom + i] !== mine[from + i]) return false;
    return true;
  }

  #grow(): void {
    const count = this.#count;
    const owners = this.#owners;
    const hashes = this.#hashes;
    const starts = this.#starts;
    const ends = this.#ends;
    this.#resize(this.#slots.length * 4);
    this.#owners.set(owners);
    this.#hashes.set(hashes);
    this.#starts.set(starts);
    this.#ends.set(ends);
    this.#count = count;
    const mask = this.#slots.length - 1;
    for (let entry = 0; entry < count; entry += 1) {
      let slot = place(owners[entry] as number, hashes[entry] as number) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry + 1;
    }
  }

  #resize(size: number): void {
    this.#slots = new Int32Array(size);
    this.#owners = new Int32Array(size / 2);
    this.#hashes = new Int32Array(size / 2);
    this.#starts = new Int32Array(size / 2);
    this.#ends = new Int32Array(size / 2);
    this.#base = 0;
    this.#count = 0;
  }

  #clear(): void {
    this.#slots.fill(0);
    this.#base = 0;
  }
}

/** FNV-1a over bytes; `place` mixes it before use, so its weak low bits do not matter. */
export function hashKey(bytes: Uint8Array, start: number, end: number): number {
  let hash = hashSeed;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ (bytes[i] as number), hashPrime);
  return hash;
}

export const hashSeed = 0x811c9dc5 | 0;
export const hashPrime = 0x01000193;

const smallestSize = 1_024;
const largestKept = 65_536;
const maxRun = 128;
const nothing = new Uint8Array(0);

/** Spreads owner and hash over the slots (finalizer of MurmurHash3). */
function place(owner: number, hash: number): number {
  let mixed = hash ^ Math.imul(owner, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
