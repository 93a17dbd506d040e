import { parseResourceFile } from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import { locatedProblem } from './located-problem.ts';

const text = `apiVersion: signalbox.dev/v1
kind: VirtualServer
metadata: { tenant: acme, name: tools }
spec:
  members:
    - backend: wether
---
apiVersion: signalbox.dev/v1
kind: Tenant
metadata: { name: acme }
spec:
  pathPrefixes: ["/"]
`;
const { documents } = parseResourceFile(text, { file: 'acme.yaml' });
const describeProblem = locatedProblem(documents);
const dangling = {
  kind: 'VirtualServer',
  tenant: 'acme',
  name: 'tools',
  field: 'spec.members[0].backend',
  message: 'there is no Backend "wether"',
};

describe('locatedProblem', () => {
  it('finds the line of the field in the local file', () => {
    expect(describeProblem(dangling)).toBe('acme.yaml:6 spec.members[0].backend: there is no Backend "wether"');
  });

  it("finds the operator's resources, which name no tenant", () => {
    const problem = { kind: 'Tenant', tenant: '', name: 'acme', field: 'spec.pathPrefixes[0]', message: 'too broad' };
    expect(describeProblem(problem)).toBe('acme.yaml:12 spec.pathPrefixes[0]: too broad');
  });

  it('points to the document when the problem is about all of it', () => {
    expect(describeProblem({ ...dangling, field: '', message: 'too many' })).toMatch(
      /^acme\.yaml:\d+ VirtualServer tools: too many$/,
    );
  });

  it('names a resource that the files do not have', () => {
    expect(describeProblem({ ...dangling, name: 'other' })).toBe(
      'VirtualServer acme/other spec.members[0].backend: there is no Backend "wether"',
    );
  });
});
