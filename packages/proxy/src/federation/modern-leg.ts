import type { Era } from '../mcp/codec/codec.ts';
import { encodeHeaderValue } from '../mcp/header-value.ts';
import type { Services } from '../mcp/services.ts';
import type { UpstreamError } from '../upstream/upstream.ts';
import type { Access, MemberLeg, MemberRequest, MemberState } from './member-leg.ts';

/** The modern leg: nothing to begin. A member of the legacy era is reached through the bridge between eras. */
export class ModernLeg implements MemberLeg {
  readonly state: MemberState;
  readonly #services: Services;
  readonly #access: Access;
  readonly #legacyAccess: Access;

  /** @param caller who calls, and in which revision. */
  constructor(
    services: Services,
    state: MemberState,
    { version, principal }: { readonly version: string; readonly principal: string },
  ) {
    this.#services = services;
    this.state = state;
    this.#access = { session: '', headersFor: (request) => modernHeadersFor(request, version) };
    this.#legacyAccess = { ...this.#access, legacyFor: principal };
  }

  access(): Access | Promise<Access | UpstreamError> {
    const { eras } = this.#services;
    const known = eras.known(this.state);
    if (known === 'modern') return this.#access;
    if (known === 'legacy') return this.#legacyAccess;
    return new Promise<Era | undefined>((resolve) => eras.find(this.state, resolve)).then((found) => {
      if (found === 'modern') return this.#access;
      return found === 'legacy' ? this.#legacyAccess : unreachable;
    });
  }

  verdict(): 'fine' {
    return 'fine';
  }

  lost(): void {
    // There is nothing to lose.
  }
}

function modernHeadersFor({ method, name, headers = [] }: MemberRequest, version: string): readonly string[] {
  return [
    ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
    ...['MCP-Protocol-Version', version, 'Mcp-Method', method],
    ...(name === undefined ? [] : ['Mcp-Name', encodeHeaderValue(name)]),
    ...headers,
  ];
}

const unreachable: UpstreamError = {
  code: 'connect-failed',
  message: 'the member could not be asked which era of MCP it speaks',
  notAccepted: true,
};
