export { createDatabase } from './databases.ts';
export { freePort } from './free-port.ts';
