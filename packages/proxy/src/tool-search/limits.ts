/** Bounds of tool search. Times in milliseconds. */
export interface ToolSearchLimits {
  /** How long a member's list serves without being asked for again; a change that a member tells of ends it at once. */
  readonly listMs: number;
  /** Pages of one list that are read. */
  readonly listPages: number;
  /** Lists that are remembered: of each member, for each caller. */
  readonly lists: number;
  /** Bytes of these together. */
  readonly listBytes: number;
  /** How long reading a list for search may hold up requests at once. */
  readonly sliceMs: number;
}

export const defaultToolSearchLimits: ToolSearchLimits = Object.freeze({
  listMs: 60_000,
  listPages: 100,
  lists: 1_000,
  listBytes: 134_217_728,
  sliceMs: 1,
});
