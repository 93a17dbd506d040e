/** Names of the filters: under them routes override their configuration, and dynamic metadata is found. */
export const filterNames = {
  jwt: 'envoy.filters.http.jwt_authn',
  mcp: 'envoy.filters.http.mcp',
  /** Changes header fields before messages are read. */
  accept: 'envoy.filters.http.header_mutation',
  rbac: 'envoy.filters.http.rbac',
  limit: 'envoy.filters.http.local_ratelimit',
  router: 'envoy.filters.http.router',
  /** Where routes to several members put what presents them as one. */
  members: 'signalbox.members',
  /** A second RBAC, in front. */
  origin: 'signalbox.origin',
} as const;
