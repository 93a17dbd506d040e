import { describe, expect, it } from 'vitest';
import { kinds } from '../kind.ts';
import { readProtoComments } from './proto-comments.ts';
import { resourceSchema } from './schema.ts';

describe('the JSON schema of resources', () => {
  const schema = JSON.parse(JSON.stringify(resourceSchema(new Map([['Listener.port', 'TCP port.']]))));

  it('has every kind and forbids unknown fields everywhere', () => {
    expect(schema.properties.kind.enum).toEqual(kinds);
    expect(kinds.every((kind) => schema.$defs[kind] !== undefined)).toBe(true);
    const objects = Object.values<{ additionalProperties?: unknown }>(schema.$defs);
    expect(objects.every((definition) => definition.additionalProperties === false)).toBe(true);
  });

  it('describes fields by their comments and types', () => {
    expect(schema.$defs.Listener.properties).toMatchObject({
      name: { type: 'string' },
      port: { type: 'integer', description: 'TCP port.' },
      hostnames: { type: 'array', items: { type: 'string' } },
    });
    expect(schema.$defs.Tenant.properties.labels).toEqual({ type: 'object', additionalProperties: { type: 'string' } });
    expect(schema.$defs.AuthorizationRule.properties.effect.enum).toEqual(['ALLOW', 'DENY']);
    expect(schema.$defs.Route.properties.match).toEqual({ $ref: '#/$defs/RouteMatch' });
  });

  it('allows one member of a oneof', () => {
    expect(schema.$defs.Jwks.not).toEqual({ anyOf: [{ required: ['uri', 'inline'] }] });
  });
});

describe('comments of a proto file', () => {
  it('are found by the names of what they stand above', () => {
    const comments = readProtoComments(`
      // A file.

      // What it is.
      // More.
      message Outer {
        // The first.
        string first = 1;
        string second = 2;
        oneof kind {
          // In a oneof.
          Inner third = 3;
        }
        // Inside.
        message Inner {
          // Deep.
          string fourth = 1;
        }
        // After.
        repeated string fifth = 5 [deprecated = true];
      }
    `);
    expect([...comments]).toEqual([
      ['Outer', 'What it is. More.'],
      ['Outer.first', 'The first.'],
      ['Outer.third', 'In a oneof.'],
      ['Outer.Inner', 'Inside.'],
      ['Outer.Inner.fourth', 'Deep.'],
      ['Outer.fifth', 'After.'],
    ]);
  });
});
