import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from '../program.ts';
import { memoryCli } from '../testing/memory-cli.ts';

describe('external', () => {
  it('shows features by data plane', async () => {
    const cli = memoryCli();
    expect(await run(['external', 'capabilities'], cli)).toBe(0);
    expect(cli.printed.out).toMatch(/^FEATURE +NATIVE +ENVOY +AGENTGATEWAY +NOTE\n/);
    expect(cli.printed.out).toMatch(/^API keys +yes +no +yes +envoy: Envoy cannot verify API keys by their hash$/m);
  });

  it('prints the bootstrap of an Envoy as YAML and as JSON', async () => {
    const environment = { SIGNALBOX_PROXY_TOKEN: 'node-token' };
    const args = ['external', 'bootstrap', 'envoy', '--gateway', 'edge', '--discovery', '[::1]:7071', '--tls'];
    const [yaml, json] = [memoryCli({ environment }), memoryCli({ environment })];
    expect(await run(args, yaml)).toBe(0);
    expect(await run([...args, '-o', 'json'], json)).toBe(0);
    expect(parse(yaml.printed.out)).toEqual(JSON.parse(json.printed.out));
    expect(JSON.parse(json.printed.out)).toMatchObject({
      node: { id: 'envoy-1', cluster: 'edge' },
      dynamic_resources: { ads_config: { api_type: 'DELTA_GRPC' } },
    });
    expect(json.printed.out).toContain('"Bearer node-token"');
    expect(json.printed.err).toBe('');
  });

  it('says where the token goes when there is none', async () => {
    const cli = memoryCli();
    expect(await run(['external', 'bootstrap', 'envoy'], cli)).toBe(0);
    expect(cli.printed.err).toContain('REPLACE-WITH-A-NODE-TOKEN');
    expect(cli.printed.out).toContain('Bearer REPLACE-WITH-A-NODE-TOKEN');
  });

  it('refuses an address that is none', async () => {
    const cli = memoryCli();
    expect(await run(['external', 'bootstrap', 'envoy', '--discovery', 'here'], cli)).toBe(2);
    expect(cli.printed.err).toContain('expected host:port');
  });

  it('prints the environment of an agentgateway for a shell and as JSON', async () => {
    const environment = { SESSION_KEY: 'a1'.repeat(32) };
    const args = ['external', 'bootstrap', 'agentgateway', '--gateway', 'edge', '--discovery', '[::1]:7071', '--tls'];
    const [shell, json] = [memoryCli({ environment }), memoryCli({ environment })];
    expect(await run([...args, '--token-file', "it's here"], shell)).toBe(0);
    expect(await run([...args, '-o', 'json'], json)).toBe(0);
    expect(shell.printed.out.split('\n')).toEqual(
      expect.arrayContaining([
        "# agentgateway -c '{}'",
        'XDS_ADDRESS=https://[::1]:7071',
        `XDS_AUTH_TOKEN='it'\\''s here'`,
        'GATEWAY=edge',
        `SESSION_KEY=${environment.SESSION_KEY}`,
      ]),
    );
    expect(JSON.parse(json.printed.out)).toMatchObject({
      environment: {
        NAMESPACE: 'signalbox',
        XDS_ROOT_CA: '/etc/ssl/certs/ca-certificates.crt',
        POD_NAME: 'agentgateway-1',
      },
      arguments: ['-c', '{}'],
    });
    expect(shell.printed.err).toBe('');
  });

  it('makes a session key for an agentgateway, and says that it is new', async () => {
    const cli = memoryCli();
    expect(await run(['external', 'bootstrap', 'agentgateway'], cli)).toBe(0);
    expect(cli.printed.out).toMatch(/^SESSION_KEY=[0-9a-f]{64}$/m);
    expect(cli.printed.err).toContain('SESSION_KEY is new');
  });

  it('refuses a session key that is none', async () => {
    const cli = memoryCli({ environment: { SESSION_KEY: 'short' } });
    expect(await run(['external', 'bootstrap', 'agentgateway'], cli)).toBe(2);
    expect(cli.printed.err).toContain('64 hexadecimal digits');
  });
});
