import type { ProjectionVariant } from '../projection.ts';

/** Without filters for MCP: nothing is known of messages, so routes of MCP are denied. */
export const withoutMcp: ProjectionVariant = {
  id: 'without-mcp',
  note: 'an Envoy before 1.40 has no filters for MCP: it denies routes of MCP, and serves the others',
};

const firstWithMcp = { major: 1, minor: 40 };

/** What an Envoy gets that says that it is older; one that does not say its version is taken for a new one. */
export function envoyVariant({
  userAgentVersion,
}: {
  readonly userAgentVersion: string;
}): ProjectionVariant | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(userAgentVersion) ?? [];
  if (major === undefined) return undefined;
  const { major: firstMajor, minor: firstMinor } = firstWithMcp;
  const isOlder = Number(major) < firstMajor || (Number(major) === firstMajor && Number(minor) < firstMinor);
  return isOlder ? withoutMcp : undefined;
}
