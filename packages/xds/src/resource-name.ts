/** A resource name of the form `xdstp://<authority>/<type>/<collection>/<rest>?<context>#<directives>`. */
export interface StructuredName {
  /** Message type without `type.googleapis.com/`. */
  readonly type: string;
  /** First segment of the id. */
  readonly collection: string;
  /** The id is `<collection>/*`: every resource of the collection. */
  readonly isGlob: boolean;
}

const scheme = 'xdstp://';

/** The parts of a structured name; undefined for any other name. */
export function parseStructuredName(name: string): StructuredName | undefined {
  if (!name.startsWith(scheme)) return undefined;
  const { path } = splitName(name);
  const authority = path.indexOf('/', scheme.length);
  const type = path.indexOf('/', authority + 1);
  const collection = path.indexOf('/', type + 1);
  if (authority < 0 || type <= authority + 1 || collection <= type + 1) return undefined;
  return {
    type: path.slice(authority + 1, type),
    collection: path.slice(type + 1, collection),
    isGlob: path.endsWith('/*') && path.length === collection + 2,
  };
}

/** One spelling for all names that are equal: the order of context parameters means nothing, directives neither. */
export function canonicalName(name: string): string {
  if (!name.startsWith(scheme)) return name;
  const { path, context } = splitName(name);
  if (context === '') return path;
  return `${path}?${context.split('&').sort().join('&')}`;
}

function splitName(name: string): { path: string; context: string } {
  const directives = name.indexOf('#');
  const beforeDirectives = directives < 0 ? name : name.slice(0, directives);
  const query = beforeDirectives.indexOf('?');
  if (query < 0) return { path: beforeDirectives, context: '' };
  return { path: beforeDirectives.slice(0, query), context: beforeDirectives.slice(query + 1) };
}

/** Whether a structured name is of the type that a type URL names. */
export function isOfType(name: StructuredName, typeUrl: string): boolean {
  return name.type === typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}
