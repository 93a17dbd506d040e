export {
  leafType,
  MemorySource,
  readSeal,
  type Seal,
  sealType,
  type TestChange,
  testFamily,
  testName,
  twigType,
} from './memory-source.ts';
export { type PipeOptions, PipeTransport } from './pipe.ts';
