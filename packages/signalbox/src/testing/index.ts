// The CLI in the process of a test: a process of its own takes half a second to start.
export { run } from '../program.ts';
export { type MemoryCli, memoryCli } from './memory-cli.ts';
