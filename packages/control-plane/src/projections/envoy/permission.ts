import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Permission, PermissionSchema } from '@signalbox/proto/envoy/config/rbac/v3/rbac_pb.ts';
import { type StringMatcher, StringMatcherSchema } from '@signalbox/proto/envoy/type/matcher/v3/string_pb.ts';
import { type ValueMatcher, ValueMatcherSchema } from '@signalbox/proto/envoy/type/matcher/v3/value_pb.ts';
import { filterNames } from './filter-names.ts';
import type { Formula, Match, TextMatch } from '../conditions/formula.ts';

/** A condition as a permission of RBAC. */
export function permissionOf(formula: Formula): Permission {
  switch (formula.kind) {
    case 'always':
      return create(PermissionSchema, { rule: { case: 'any', value: true } });
    case 'never':
      return create(PermissionSchema, { rule: { case: 'notRule', value: { rule: { case: 'any', value: true } } } });
    case 'all':
      return create(PermissionSchema, {
        rule: { case: 'andRules', value: { rules: formula.terms.map(permissionOf) } },
      });
    case 'any':
      return create(PermissionSchema, { rule: { case: 'orRules', value: { rules: formula.terms.map(permissionOf) } } });
    case 'not':
      return create(PermissionSchema, { rule: { case: 'notRule', value: permissionOf(formula.term) } });
    case 'header':
      return headerPermission(formula.name, formula.match);
    case 'path': {
      const path = { rule: { case: 'path' as const, value: stringMatcher(formula.match) } };
      return create(PermissionSchema, { rule: { case: 'urlPath', value: path } });
    }
    case 'value': {
      const path = formula.path.map((key) => ({ segment: { case: 'key' as const, value: key } }));
      const metadataMatcher = { filter: filterNames[formula.filter], path, value: valueMatcher(formula.match) };
      return create(PermissionSchema, { rule: { case: 'sourcedMetadata', value: { metadataMatcher } } });
    }
  }
}

function headerPermission(name: string, match: TextMatch | 'present'): Permission {
  const specifier =
    match === 'present'
      ? ({ case: 'presentMatch', value: true } as const)
      : ({ case: 'stringMatch', value: stringMatcher(match) } as const);
  return create(PermissionSchema, { rule: { case: 'header', value: { name, headerMatchSpecifier: specifier } } });
}

type ValuePattern = NonNullable<MessageInitShape<typeof ValueMatcherSchema>['matchPattern']>;

function valueMatcher(match: Match): ValueMatcher {
  return create(ValueMatcherSchema, { matchPattern: valuePattern(match) });
}

function valuePattern(match: Match): ValuePattern {
  switch (match.is) {
    case 'present':
      return { case: 'presentMatch', value: true };
    case 'null':
      return { case: 'nullMatch', value: {} };
    case 'any-text':
      return { case: 'stringMatch', value: stringMatcher({ is: 'regex', text: '(?s).*' }) };
    case 'any-number':
      return numberRange(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
    case 'list':
      return { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: valueMatcher({ is: 'present' }) } } };
    case 'list-with': {
      const member = valueMatcher({ is: 'exact', text: match.text });
      return { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: member } } };
    }
    case 'number':
      return { case: 'doubleMatch', value: { matchPattern: { case: 'exact', value: match.value } } };
    case 'range':
      return numberRange(match.start, match.end);
    case 'flag':
      return { case: 'boolMatch', value: match.value };
    case 'exact':
    case 'prefix':
    case 'suffix':
    case 'contains':
    case 'regex':
    case 'search':
      return { case: 'stringMatch', value: stringMatcher(match) };
  }
}

function numberRange(start: number, end: number) {
  return { case: 'doubleMatch', value: { matchPattern: { case: 'range', value: { start, end } } } } as const;
}

/** Also for headers of routes. */
export function stringMatcher({ is, text, ignoreCase = false }: TextMatch): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: textPattern(is, text), ignoreCase });
}

/** There a pattern has to match the whole text. */
function textPattern(is: TextMatch['is'], text: string) {
  if (is === 'search') return { case: 'safeRegex', value: { regex: `(?s:.*)(?:${text})(?s:.*)` } } as const;
  return is === 'regex' ? ({ case: 'safeRegex', value: { regex: text } } as const) : { case: is, value: text };
}
