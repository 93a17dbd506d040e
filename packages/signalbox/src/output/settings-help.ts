import type { Setting } from '@signalbox/runtime';

/** The variables of a process for its help: name, unit, default, meaning. */
export function describeSettings(settings: Readonly<Record<string, Setting<unknown>>>): string {
  const lines = Object.values(settings).flatMap(({ name, unit, fallback, doc }) => {
    const otherwise = fallback === undefined ? 'required' : fallback === '' ? 'default: empty' : `default: ${fallback}`;
    return [`  ${name} (${unit}; ${otherwise})`, `      ${doc}`];
  });
  return ['', 'Settings:', ...lines].join('\n');
}
