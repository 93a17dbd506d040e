export { type Admin, adminClient, type AdminProtocol } from './admin.ts';
export { type TestAuthority, testAuthority } from './certificates.ts';
export { type ControlPlaneProcess, startControlPlaneProcess } from './control-plane-process.ts';
export { createDatabase, createMigratedDatabase } from './databases.ts';
export { freePort } from './free-port.ts';
export type { HeldCall, HeldCalls } from './held-calls.ts';
export { httpCodecSettings } from './http-codec.ts';
export { type HttpFixture, readBody, startHttpFixture } from './http-fixture.ts';
export { Inbox } from './inbox.ts';
export { type JwtIssuer, startJwtIssuer, type TokenOptions } from './jwt-issuer.ts';
export { type LegacyMcpServer, startLegacyMcpServer } from './legacy-mcp-server.ts';
export type { MemberContent } from './member-answers.ts';
export { type MemberServer, type MemberServerOptions, startMemberServer } from './member-server.ts';
export { feedUri, type ModernMcpServer, startModernMcpServer } from './modern-mcp-server.ts';
export { proxyReady, type ProxyProcess, type ProxyProcessOptions, startProxyProcess } from './proxy-process.ts';
export { type RawHttpAnswer, sendBytes } from './raw-http.ts';
export {
  finalMessage,
  legacyVersion,
  type McpAnswer,
  type McpStream,
  type Message,
  modernVersion,
  RawMcpClient,
} from './raw-mcp-client.ts';
export { jsonAnswer, type RawUpstream, startRawUpstream, type UpstreamScript } from './raw-upstream.ts';
export {
  federatedRoute,
  type FederatedRouteOptions,
  forwardRoute,
  type ForwardRouteOptions,
  gateway,
  mcpRoute,
  type McpRouteOptions,
  policy,
  type ResourceFile,
  type RuleSpec,
  tenant,
  yaml,
} from './resources.ts';
export { type RecordedRequest, RequestLog } from './request-log.ts';
export { startTestRedis, type TestRedis } from './redis.ts';
export { type RunPostgres, startRunPostgres } from './run-postgres.ts';
export type { SseEvent } from './sse-reader.ts';
export { startTcpProxy, type TcpProxy, type TcpProxyOptions } from './tcp-proxy.ts';
export { type ApplyOptions, startSystem, type StartSystemOptions, type System } from './system.ts';
export { readEvents, startFileNode, type SystemNode } from './system-node.ts';
export { until } from './until.ts';
