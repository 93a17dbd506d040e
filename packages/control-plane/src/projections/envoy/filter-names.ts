/** Names of the filters: under them routes override their configuration, and dynamic metadata is found. */
export const filterNames = {
  jwt: 'envoy.filters.http.jwt_authn',
  mcp: 'envoy.filters.http.mcp',
  rbac: 'envoy.filters.http.rbac',
  router: 'envoy.filters.http.router',
  /** Where routes to several members put what presents them as one. */
  members: 'signalbox.members',
  /** A second RBAC, in front. */
  origin: 'signalbox.origin',
} as const;
