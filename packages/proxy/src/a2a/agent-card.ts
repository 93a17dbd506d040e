/** What callers are to know instead of what the agent says about itself. */
export interface CardFacts {
  /** Where callers reach the agent: its JSON-RPC endpoint at the gateway. */
  readonly url: string;
  /** Host and port of the agent, which callers need not know. */
  readonly upstreamHost: string;
  /** Callers need a bearer credential. */
  readonly needsCredential: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The card of an agent as the gateway shows it, of A2A 1.0 or 0.3: only interfaces that are really served, at the
 * gateway's URL; the gateway's ways to authenticate; what the gateway does not carry turned off; without signatures, which
 * no longer hold. @returns undefined for what is no card, or one without a JSON-RPC interface.
 */
export function rewriteCard(card: unknown, facts: CardFacts): Json | undefined {
  if (!isObject(card) || typeof card['name'] !== 'string') return undefined;
  const { supportedInterfaces, skills } = card;
  const isOlder = 'url' in card || 'preferredTransport' in card;
  if (!isOlder && !Array.isArray(supportedInterfaces)) return undefined;
  const interfaces = Array.isArray(supportedInterfaces) ? servedInterfaces(supportedInterfaces, facts.url) : undefined;
  if (interfaces?.length === 0) return undefined;
  return {
    ...without(card, [...replaced, ...hostedFields(card, facts.upstreamHost)]),
    ...(interfaces && { supportedInterfaces: interfaces }),
    ...(isOlder && olderInterfaces(card, facts.url)),
    ...(isObject(card['capabilities']) && { capabilities: carriedCapabilities(card['capabilities']) }),
    ...('supportsAuthenticatedExtendedCard' in card && { supportsAuthenticatedExtendedCard: false }),
    ...(Array.isArray(skills) && { skills: skills.map(withoutSecurity) }),
    ...(facts.needsCredential ? bearerSecurity(isOlder) : {}),
  };
}

const replaced = ['signatures', 'securitySchemes', 'security', 'securityRequirements', 'additionalInterfaces'];

/** Those of JSON-RPC, each tenant and version once. */
function servedInterfaces(interfaces: readonly unknown[], url: string): readonly Json[] {
  const served = interfaces.filter(isObject).filter((one) => one['protocolBinding'] === 'JSONRPC');
  const known = new Set<string>();
  return served.flatMap((one) => {
    const key = JSON.stringify([one['tenant'], one['protocolVersion']]);
    if (known.has(key)) return [];
    known.add(key);
    return [{ ...one, url }];
  });
}

/** A2A 0.3: the backend's URL is configured as a JSON-RPC endpoint, whatever the card prefers. */
function olderInterfaces({ additionalInterfaces }: Json, url: string): Json {
  const listed = Array.isArray(additionalInterfaces) ? { additionalInterfaces: [{ url, transport: 'JSONRPC' }] } : {};
  return { url, preferredTransport: 'JSONRPC', ...listed };
}

function carriedCapabilities(capabilities: Json): Json {
  const off = ['pushNotifications', 'extendedAgentCard'].filter((name) => name in capabilities);
  return { ...capabilities, ...Object.fromEntries(off.map((name) => [name, false])) };
}

function withoutSecurity(skill: unknown): unknown {
  return isObject(skill) ? without(skill, ['security', 'securityRequirements']) : skill;
}

function bearerSecurity(isOlder: boolean): Json {
  if (isOlder) return { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } }, security: [{ bearer: [] }] };
  return {
    securitySchemes: { bearer: { httpAuthSecurityScheme: { scheme: 'Bearer' } } },
    securityRequirements: [{ schemes: { bearer: { list: [] } } }],
  };
}

/** Links to the host of the agent, which callers may not even be able to reach. */
function hostedFields(card: Json, host: string): string[] {
  const { provider } = card;
  const links = ['documentationUrl', 'iconUrl'].filter((name) => isAt(card[name], host));
  return isObject(provider) && isAt(provider['url'], host) ? [...links, 'provider'] : links;
}

function isAt(url: unknown, host: string): boolean {
  return typeof url === 'string' && URL.canParse(url) && new URL(url).host === host;
}

function without(object: Json, names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
