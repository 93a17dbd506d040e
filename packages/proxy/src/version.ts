/** Version of this build, as nodes report it. */
export const proxyVersion = '0.1.0';
