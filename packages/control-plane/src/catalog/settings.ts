import { integer, type Setting } from '@signalbox/runtime';

const seconds = 1_000;
const mebibyte = 1024 * 1024;

/** What can be set about how nodes look up what MCP servers have. */
export const catalogSettings = {
  catalogMs: integer({
    name: 'SIGNALBOX_CATALOG_INTERVAL',
    ...{ unit: 'ms', min: 100, max: 30 * 86_400 * seconds, fallback: '600000' },
    doc: 'How often a node looks at what each MCP server has.',
  }),
  catalogRetryMs: integer({
    name: 'SIGNALBOX_CATALOG_RETRY',
    ...{ unit: 'ms', min: 100, max: 86_400 * seconds, fallback: '60000' },
    doc: 'After this a server is looked at again that could not be reached, wanted a credential, or did not answer as an MCP server.',
  }),
  catalogLeaseMs: integer({
    name: 'SIGNALBOX_CATALOG_LEASE',
    ...{ unit: 'ms', min: 1_000, max: 3_600 * seconds, fallback: '60000' },
    doc: 'How long a node may take to look at one server; then another node may.',
  }),
  catalogAskMs: integer({
    name: 'SIGNALBOX_CATALOG_ASK',
    ...{ unit: 'ms', min: 10, max: 3_600 * seconds, fallback: '5000' },
    doc: 'How often a node asks which servers it is to look at: a refresh begins after this at the latest, unless there are many nodes.',
  }),
  catalogAsks: integer({
    name: 'SIGNALBOX_CATALOG_ASKS',
    ...{ unit: 'requests a second', min: 1, max: 100_000, fallback: '50' },
    doc: 'Such questions of all nodes of this replica together: with more nodes each asks less often.',
  }),
  catalogClaims: integer({
    name: 'SIGNALBOX_CATALOG_CLAIMS',
    ...{ unit: 'servers', min: 1, max: 1_000, fallback: '8' },
    doc: 'Servers that one node is given to look at, at a time.',
  }),
  catalogDescriptors: integer({
    name: 'SIGNALBOX_CATALOG_DESCRIPTORS',
    ...{ unit: 'descriptors', min: 1, max: 1_000_000, fallback: '10000' },
    doc: 'Tools, prompts, resources and templates of one server; of one that has more the catalog keeps what it had.',
  }),
  catalogBytes: integer({
    name: 'SIGNALBOX_CATALOG_BYTES',
    ...{ unit: 'bytes', min: 1024, max: 60 * mebibyte, fallback: String(4 * mebibyte) },
    doc: 'Descriptors of one server, all together; of one that has more the catalog keeps what it had. Less than SIGNALBOX_DISCOVERY_REQUEST.',
  }),
  catalogVersions: integer({
    name: 'SIGNALBOX_CATALOG_VERSIONS',
    ...{ unit: 'versions', min: 1, max: 1_000, fallback: '20' },
    doc: 'Versions that are kept of what each server has.',
  }),
  registryGateways: gatewayUrls({
    name: 'SIGNALBOX_REGISTRY_GATEWAYS',
    doc: 'Addresses of gateways as agents reach them, for the registry: default=https://mcp.example.com,edge=https://edge.example.com. Of a gateway that is not named, http with the first host name and port of its listener is told.',
  }),
};

/** `<gateway>=<URL>`, with commas between. */
function gatewayUrls({
  name,
  doc,
}: {
  readonly name: string;
  readonly doc: string;
}): Setting<ReadonlyMap<string, string>> {
  return {
    ...{ name, doc, unit: 'gateway=URL,…', fallback: '' },
    parse: (value) => {
      const pairs = value.split(',').filter((part) => part.trim() !== '');
      const urls = new Map<string, string>();
      for (const pair of pairs) {
        const [, gateway, url] = /^\s*([a-z0-9-]+)=(\S+)\s*$/.exec(pair) ?? [];
        if (gateway === undefined || url === undefined || !/^https?:\/\//.test(url) || !URL.canParse(url)) {
          return { problem: `expected <gateway>=<http or https URL>, with commas between, got "${pair.trim()}"` };
        }
        urls.set(gateway, url);
      }
      return { value: urls };
    },
  };
}
