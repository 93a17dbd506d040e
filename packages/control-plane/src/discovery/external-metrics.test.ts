import { Metrics } from '@signalbox/runtime';
import type { StreamInfo } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { ExternalMetrics } from './external-metrics.ts';

const variant = { id: 'older', note: 'gets less' };

function measured() {
  const metrics = new Metrics();
  const views = ['envoy', 'agentgateway'].map((name) => ({
    family: { name, types: [] },
    source: {
      ids: () => ['one'],
      variantOf: ({ userAgentVersion }: { readonly userAgentVersion: string }) =>
        userAgentVersion === 'old' ? variant : undefined,
    },
  }));
  const observer = new ExternalMetrics(views as never, metrics);
  const value = (series: string) =>
    metrics
      .expose()
      .split('\n')
      .find((line) => line.startsWith(series))
      ?.split(' ')[1];
  return { observer, value };
}

function stream(id: number, family: string, userAgentVersion = ''): StreamInfo {
  return {
    ...{ id, family, collections: 'all', remoteAddress: '' },
    identity: { credentialId: 't', name: 't' },
    node: { id: `node-${id}`, cluster: '', userAgentName: '', userAgentVersion, metadata: {} },
  };
}

describe('what is counted of proxies of others', () => {
  it('are their streams, by family and by what they get', () => {
    const { observer, value } = measured();
    for (const one of [stream(1, 'envoy'), stream(2, 'envoy', 'old'), stream(3, 'native')]) observer.opened(one);
    expect(value('signalbox_external_streams{family="envoy",form="usual"}')).toBe('1');
    expect(value('signalbox_external_streams{family="envoy",form="reduced"}')).toBe('1');
    expect(value('signalbox_external_streams{family="agentgateway",form="usual"}')).toBe('0');
    observer.closed(stream(2, 'envoy', 'old'));
    expect(value('signalbox_external_streams{family="envoy",form="reduced"}')).toBe('0');
  });

  it('is what they accept and refuse, and how many views they need', () => {
    const { observer, value } = measured();
    observer.acked(stream(1, 'envoy'));
    observer.nacked(stream(1, 'envoy'));
    observer.nacked(stream(2, 'native'));
    expect(value('signalbox_external_rounds_total{family="envoy",answer="accepted"}')).toBe('1');
    expect(value('signalbox_external_rounds_total{family="envoy",answer="refused"}')).toBe('1');
    expect(value('signalbox_external_views{family="agentgateway"}')).toBe('1');
  });

  it('has no series for a family that nobody serves', () => {
    const { observer, value } = measured();
    observer.opened(stream(1, 'anything'));
    observer.acked(stream(1, 'anything'));
    expect(value('signalbox_external_streams{family="anything"')).toBeUndefined();
  });
});
