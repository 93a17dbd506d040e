export { ManualClock } from './manual-clock.ts';
export { type LogLine, MemoryLogger } from './memory-logger.ts';
export { SeededRandom } from './seeded-random.ts';
