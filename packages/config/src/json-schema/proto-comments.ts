/** Comments above messages, fields and values, by name: `Listener`, `Listener.port`, `AuthorizationRule.Effect.ALLOW`. */
export type ProtoComments = ReadonlyMap<string, string>;

/** Reads the comments of a `.proto` file in the form that `buf format` gives it: one declaration on a line. */
export function readProtoComments(source: string): ProtoComments {
  const comments = new Map<string, string>();
  const blocks: string[] = [];
  let comment: string[] = [];
  for (const line of source.split('\n').map((text) => text.trim())) {
    if (line.startsWith('//')) {
      comment.push(line.slice(2).trim());
      continue;
    }
    const name = declaredName(line);
    const isBlock = line.endsWith('{');
    if (name !== undefined && comment.length > 0) comments.set([...blocks, name].join('.'), comment.join(' '));
    // A oneof adds nothing to the names of the fields in it.
    if (isBlock) blocks.push(line.startsWith('oneof ') ? '' : (name ?? ''));
    else if (line === '}') blocks.pop();
    comment = [];
  }
  return new Map([...comments].map(([name, text]) => [name.split('.').filter(Boolean).join('.'), text]));
}

function declaredName(line: string): string | undefined {
  return /^(?:message|enum|oneof) (\w+)/.exec(line)?.[1] ?? /(\w+) = \d+/.exec(line)?.[1];
}
