/**
 * Variables that put a node of a test on the HTTP codec that the run is for: the one that `SIGNALBOX_TEST_HTTP_CODEC`
 * names, or without it the default of the proxy.
 */
export function httpCodecSettings(): Readonly<Record<string, string>> {
  const codec = process.env['SIGNALBOX_TEST_HTTP_CODEC'] ?? '';
  return codec === '' ? {} : { SIGNALBOX_PROXY_HTTP_CODEC: codec };
}
