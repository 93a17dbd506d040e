/** Starts the server by being imported; the package has no types. */
declare module '@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js';
