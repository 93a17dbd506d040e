import { viewCompiler } from '../compiled-view.ts';
import type { Projection } from '../projection.ts';
import { describeEnvoy } from './describe.ts';
import { envoyFamily } from './family.ts';
import { defaultEnvoyOptions, type EnvoyOptions } from './options.ts';
import { projectEnvoy } from './project.ts';
import { envoyVariant, withoutMcp } from './variant.ts';

/** What stock Envoys of a gateway receive. */
export function envoyProjection(options: EnvoyOptions = defaultEnvoyOptions): Projection {
  const compile = viewCompiler();
  return {
    family: envoyFamily,
    project: (view) => {
      const compiled = compile(view);
      if (!compiled) return [];
      const hasMcpFilters = options.hasMcpFilters && view.variant !== withoutMcp.id;
      return projectEnvoy(view.gateway, compiled.operator, compiled.tenants, { ...options, hasMcpFilters });
    },
    variantOf: envoyVariant,
    describe: describeEnvoy,
  };
}
