import { stringify } from 'yaml';

/** One document; a list of resources is shown as a stream of documents by {@link renderYamlStream}. */
export function renderYaml(data: unknown): string {
  return stringify(data, { lineWidth: 120 });
}

/** Documents with `---` between them: what `apply -f -` reads. */
export function renderYamlStream(documents: readonly unknown[]): string {
  return documents.map(renderYaml).join('---\n');
}
