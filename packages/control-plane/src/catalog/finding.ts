import { type Descriptor, type DescriptorKind, descriptorKinds, readDescriptor } from '@signalbox/config';
import {
  type ReportCatalogRequest,
  ReportCatalogRequest_Outcome as Outcome,
} from '@signalbox/proto/signalbox/node/v1/catalog_service_pb.ts';

import type { Finding } from './catalog.ts';

export interface FindingLimits {
  /** Descriptors of one server. */
  readonly descriptors: number;
  /** Bytes of these together. */
  readonly bytes: number;
}

/** Bytes of a name or URI: an index holds it. */
const nameBytes = 1_024;
/** Characters of a text that a node tells. */
const textLength = 500;

/** What a report says. It is not believed: whatever a node tells is read and measured here. */
export function findingOf(report: ReportCatalogRequest, limits: FindingLimits): Finding {
  const { node } = report;
  const problem = report.problem.slice(0, textLength);
  switch (report.outcome) {
    case Outcome.NEEDS_AUTH:
      return { node, state: 'needs-auth', problem };
    case Outcome.UNREACHABLE:
      return { node, state: 'unreachable', problem };
    case Outcome.COMPLETE:
      return contentsOf(report, limits);
    case Outcome.FAILED:
    case Outcome.OUTCOME_UNSPECIFIED:
    default:
      return { node, state: 'failed', problem: problem || 'the node did not say why' };
  }
}

function contentsOf(
  { node, era, protocolVersion, descriptors, problem }: ReportCatalogRequest,
  limits: FindingLimits,
): Finding {
  const bytes = descriptors.reduce((sum, { json }) => sum + json.length, 0);
  if (descriptors.length > limits.descriptors || bytes > limits.bytes) {
    return {
      node,
      state: 'failed',
      problem: `it has more than ${limits.descriptors} entries, or ${limits.bytes} bytes`,
    };
  }
  const known = new Map<string, Descriptor>();
  const leftOut: string[] = [];
  for (const { kind, json } of descriptors) {
    const read = isDescriptorKind(kind) ? readDescriptor(kind, json) : { fault: `an entry of kind "${kind}"` };
    if ('fault' in read) leftOut.push(read.fault);
    else if (Buffer.byteLength(read.name) > nameBytes)
      leftOut.push(`a ${kind} with a name of more than ${nameBytes} bytes`);
    // PostgreSQL has no texts with this character.
    else if (read.name.includes('\0')) leftOut.push(`a ${kind} with U+0000 in its name`);
    else if (known.has(`${kind} ${read.name}`)) leftOut.push(`a second ${kind} "${read.name}"`);
    else known.set(`${kind} ${read.name}`, read);
  }
  return {
    ...{ node, state: 'current', era: era.slice(0, 20), protocolVersion: protocolVersion.slice(0, 40) },
    descriptors: [...known.values()],
    problem: leftOut.length === 0 ? problem.slice(0, textLength) : leftOutText(leftOut),
  };
}

function leftOutText([first, ...more]: readonly string[]): string {
  const others = more.length === 0 ? '' : `, and ${more.length} more`;
  return `left out: ${first}${others}`.slice(0, textLength).replaceAll('\0', '');
}

function isDescriptorKind(kind: string): kind is DescriptorKind {
  return (descriptorKinds as readonly string[]).includes(kind);
}
