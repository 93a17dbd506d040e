export { MemorySink } from './memory-sink.ts';
export { sampleOutcome } from './outcome.ts';
