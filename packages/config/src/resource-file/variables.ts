import type { ProblemCode } from '../problem.ts';

/** Gives the value of a variable by name; undefined when it has none. No source at all refuses every reference. */
export type VariableSource = ((name: string) => string | undefined) | undefined;

/**
 * A text with every `${env:NAME}` replaced by the variable's value. Values are inserted as they are, not read again. A
 * reference that is refused or has no value is reported, by its name only, and stays as it is.
 */
export function expandVariables(
  text: string,
  variables: VariableSource,
  report: (code: ProblemCode, message: string) => void,
): string {
  if (!text.includes('${env:')) return text;
  return text.replaceAll(/\$\{env:([^}]*)(\}?)/g, (reference: string, name: string, close: string) => {
    if (close === '' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      report('invalid-value', 'is not a reference to a variable: write ${env:NAME}');
      return reference;
    }
    if (variables === undefined) {
      report(
        'invalid-value',
        `\${env:${name}} is not replaced here: references to the environment work only where a process reads its own files; give the value`,
      );
      return reference;
    }
    const value = variables(name);
    if (value === undefined) report('unset-variable', `the variable ${name} is not set`);
    return value ?? reference;
  });
}
