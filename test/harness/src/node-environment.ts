/**
 * What every process of Node that a test starts gets of this one's environment: the way to programs, and where compiled
 * code is kept, so that only the first of its kind compiles (not while coverage is measured: then there is no such place).
 */
export function nodeEnvironment(): NodeJS.ProcessEnv {
  const { PATH, NODE_OPTIONS, NODE_COMPILE_CACHE } = process.env;
  return { PATH, NODE_OPTIONS, NODE_COMPILE_CACHE };
}
