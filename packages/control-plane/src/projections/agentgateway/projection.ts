import { fromBinary, type JsonObject, toJson } from '@bufbuild/protobuf';
import { ResourceSchema } from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import { viewCompiler } from '../compiled-view.ts';
import type { Projection } from '../projection.ts';
import { agentgatewayFamily } from './family.ts';
import { projectAgentgateway } from './project.ts';

/** What stock agentgateways of a gateway receive. */
export function agentgatewayProjection(): Projection {
  const compile = viewCompiler();
  return {
    family: agentgatewayFamily,
    project: (view) => {
      const compiled = compile(view);
      return compiled ? projectAgentgateway(view.gateway, compiled.operator, compiled.tenants) : [];
    },
    describe: ({ body }) => toJson(ResourceSchema, fromBinary(ResourceSchema, body)) as JsonObject,
  };
}
