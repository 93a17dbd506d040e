import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
  status,
  type StatusObject,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeExchange } from '../testing/fake-exchange.ts';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';
import { RunningServer, turn } from '../testing/running-server.ts';
import { HttpClient } from '../upstream/http-client.ts';
import { defaultHttp1ClientLimits } from '../upstream/http1-client.ts';
import { defaultHttp2ClientLimits } from '../upstream/http2-client.ts';

type ServerCall = ServerDuplexStream<Buffer, Buffer>;

const identity = (bytes: Buffer) => bytes;
const greeter = '/acme/greeter';
let held = new AsyncDisposableStack();

afterEach(async () => {
  await held.disposeAsync();
  held = new AsyncDisposableStack();
});

/** A service over real connections. Methods by name; every one may stream both ways. */
async function service(methods: UntypedServiceImplementation): Promise<string> {
  const server = new Server();
  const definition = Object.keys(methods).map((name) => {
    const path = `${greeter}/${name}`;
    const codecs = { requestSerialize: identity, requestDeserialize: identity };
    const streams = { requestStream: true, responseStream: true };
    return [name, { path, ...streams, ...codecs, responseSerialize: identity, responseDeserialize: identity }] as const;
  });
  server.addService(Object.fromEntries(definition), methods);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  held.defer(() => server.forceShutdown());
  return `http://127.0.0.1:${port}`;
}

interface Through {
  readonly path: RequestPath;
  readonly client: Client;
}

/** A client whose calls go through a node that leads to `url`. */
async function through(url: string, route: object = {}, options: RequestPathOptions = {}): Promise<Through> {
  const path = new RequestPath({
    allow: ['http.path != "/acme/greeter/Denied"'],
    more: resourcesOf(url, route),
    realUpstream: (kit) => {
      const upstream = new HttpClient({ http1: defaultHttp1ClientLimits, http2: defaultHttp2ClientLimits, ...kit });
      held.defer(() => upstream.close());
      return upstream;
    },
    ...options,
  });
  const running = held.use(await RunningServer.start((exchange) => path.handle(exchange), { http2: 'always' }));
  const client = new Client(`127.0.0.1:${running.port}`, credentials.createInsecure());
  held.defer(() => client.close());
  return { path, client };
}

/** One call, as far as it has come. */
class Call {
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  readonly messages: string[] = [];
  readonly status: Promise<StatusObject>;
  metadata: Metadata | undefined;

  constructor(client: Client, method: string, key = 'alice-key') {
    const metadata = new Metadata();
    if (key !== '') metadata.set('authorization', `Bearer ${key}`);
    metadata.set('x-asked', 'yes');
    this.stream = client.makeBidiStreamRequest(`${greeter}/${method}`, identity, identity, metadata);
    this.stream.on('metadata', (received: Metadata) => void (this.metadata = received));
    this.stream.on('data', (message: Buffer) => void this.messages.push(message.toString()));
    this.stream.on('error', () => undefined);
    this.status = new Promise((resolve) => void this.stream.once('status', resolve));
  }

  send(text: string): this {
    this.stream.write(Buffer.from(text));
    return this;
  }

  end(): this {
    this.stream.end();
    return this;
  }
}

const echo: UntypedServiceImplementation = {
  Echo: (call: ServerCall) => {
    const sent = new Metadata();
    sent.set('x-seen', JSON.stringify(call.metadata.toJSON()));
    call.sendMetadata(sent);
    call.on('data', (message: Buffer) => void call.write(Buffer.from(`${message.toString()}!`)));
    call.on('end', () => call.end());
  },
  Fail: (call: ServerCall) => {
    const metadata = new Metadata();
    metadata.set('x-detail', 'more');
    call.emit('error', { code: status.NOT_FOUND, details: 'nobody of that name: é', metadata } as ServiceError);
  },
};

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

describe('a call of a gRPC route', () => {
  it('streams in both directions as messages come, with metadata at both ends', async () => {
    const { client, path } = await through(await service(echo));
    const call = new Call(client, 'Echo').send('one');
    await until(() => call.messages.length === 1);
    call.send('two').end();
    expect((await call.status).code).toBe(status.OK);
    expect(call.messages).toEqual(['one!', 'two!']);
    const seen = String(call.metadata?.get('x-seen')[0]);
    expect(JSON.parse(seen)).toMatchObject({ 'x-asked': ['yes'], 'x-forwarded-for': ['127.0.0.1'] });
    expect(seen).not.toContain('alice-key');
    await until(() => path.events.length === 1);
    expect(path.events).toMatchObject([
      { route: 'greeter', protocol: 'grpc', path: '/acme/greeter/Echo', decision: 'allow', status: 200, error: '' },
    ]);
    expect([path.streams.size, path.streams.calls.size]).toEqual([0, 0]);
  });

  it('ends with the status, message and metadata of the service, also without any message', async () => {
    const { client } = await through(await service(echo));
    const { code, details, metadata } = await new Call(client, 'Fail').end().status;
    expect([code, details, metadata.get('x-detail')]).toEqual([status.NOT_FOUND, 'nobody of that name: é', ['more']]);
    expect((await new Call(client, 'Missing').end().status).code).toBe(status.UNIMPLEMENTED);
  });

  it('counts as failed when the service says that it has, and not when it says no', async () => {
    const failing = (code: number): UntypedServiceImplementation[string] =>
      ((call: ServerCall) => call.emit('error', { code, details: 'x' } as ServiceError)) as never;
    const late: UntypedServiceImplementation[string] = ((call: ServerCall) => {
      call.write(Buffer.from('x'));
      call.emit('error', { code: status.UNAVAILABLE, details: 'x' } as ServiceError);
    }) as never;
    const methods = { Internal: failing(status.INTERNAL), Missing: failing(status.NOT_FOUND), Late: late };
    const { client, path } = await through(await service(methods));
    for (const method of Object.keys(methods)) await new Call(client, method).end().status;
    await until(() => path.events.length === 3);
    expect(path.events.map(({ error }) => error)).toEqual(['upstream_error', '', 'upstream_error']);
  });

  it('ends early when the service does, whatever is still to be sent', async () => {
    const enough = { code: status.ABORTED, details: 'enough' } as ServiceError;
    const early: UntypedServiceImplementation = {
      Early: (call: ServerCall) => {
        call.once('data', () => call.emit('error', enough));
      },
      Begun: (call: ServerCall) => {
        call.write(Buffer.from('first'));
        call.once('data', () => call.emit('error', enough));
      },
    };
    const { client, path } = await through(await service(early));
    const call = new Call(client, 'Early').send('one');
    expect(await call.status).toMatchObject({ code: status.ABORTED, details: 'enough' });
    const begun = new Call(client, 'Begun').send('one');
    expect(await begun.status).toMatchObject({ code: status.ABORTED, details: 'enough' });
    expect(begun.messages).toEqual(['first']);
    await until(() => path.events.length === 2);
    expect(path.streams.size).toBe(0);
  });

  it('carries large messages, and many at a time over one connection', async () => {
    const { client } = await through(await service(echo));
    const text = 'x'.repeat(1_000_000);
    const calls = Array.from({ length: 20 }, () => new Call(client, 'Echo').send(text).send('y').end());
    for (const call of calls) {
      expect((await call.status).code).toBe(status.OK);
      expect(call.messages.map(({ length }) => length)).toEqual([1_000_001, 2]);
    }
  });

  it('is cancelled at the service when its client cancels', async () => {
    const cancelled = Promise.withResolvers<void>();
    const endless: UntypedServiceImplementation = {
      Endless: (call: ServerCall) => {
        call.on('cancelled', () => cancelled.resolve()).on('data', () => call.write(Buffer.from('started')));
      },
    };
    const { client, path } = await through(await service(endless));
    const call = new Call(client, 'Endless').send('go');
    await until(() => call.messages.length === 1);
    call.stream.cancel();
    await cancelled.promise;
    await until(() => path.events.length === 1);
    expect(path.events).toMatchObject([{ error: 'client_gone' }]);
  });
});

describe('what the gateway refuses of gRPC', () => {
  it('has a status of gRPC, and costs the service nothing', async () => {
    const { client, path } = await through(await service(echo));
    const codes = await Promise.all([
      new Call(client, 'Denied').end().status,
      new Call(client, 'Echo', 'nobody').end().status,
      new Call(client, 'Echo', '').end().status,
    ]);
    expect(codes.map(({ code }) => code)).toEqual([
      status.PERMISSION_DENIED,
      status.UNAUTHENTICATED,
      status.UNAUTHENTICATED,
    ]);
    expect(codes[0]?.details).toBe('Not allowed here');
    await until(() => path.events.length === 3);
    expect(new Set(path.events.map(({ decision }) => decision))).toEqual(new Set(['deny', 'unauthenticated']));
  });

  it('says which limit is used up', async () => {
    const limited = ['Policy', 'few', { target: { route: 'greeter' }, limits: { callsPerMinute: 1 } }] as const;
    const url = await service(echo);
    const { client } = await through(url, {}, { more: [...resourcesOf(url), limited] });
    expect((await new Call(client, 'Echo').end().status).code).toBe(status.OK);
    const refused = await new Call(client, 'Echo').end().status;
    expect(refused.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(refused.metadata.get('retry-after')).toEqual(['60']);
  });

  it('says that the service cannot be reached', async () => {
    const { client, path } = await through('http://127.0.0.1:1');
    expect((await new Call(client, 'Echo').end().status).code).toBe(status.UNAVAILABLE);
    expect(path.events).toMatchObject([{ error: 'upstream_unreachable', status: 200 }]);
  });

  it('ends a stream in order whose permission is withdrawn', async () => {
    const url = await service(echo);
    const { client, path } = await through(url);
    const call = new Call(client, 'Echo').send('one');
    await until(() => call.messages.length === 1);
    await path.swap({ allow: [] });
    expect(await call.status).toMatchObject({ code: status.PERMISSION_DENIED, details: 'Permission was withdrawn' });
    expect(path.events.at(-1)).toMatchObject({ error: 'revoked' });
  });

  it.each<[string, FakeRequestOf, number]>([
    ['over HTTP/1.1', { takesTrailers: false }, 505],
    ['with another method', { method: 'GET' }, 405],
    ['of another type', { headers: { 'content-type': 'application/json' } }, 415],
  ])('a request %s is told so by HTTP', (_, changes, code) => {
    const path = new RequestPath({ allow: ['true'], more: resourcesOf('http://127.0.0.1:1') });
    const headers = { authorization: 'Bearer alice-key', 'content-type': 'application/grpc', ...changes.headers };
    const exchange = new FakeExchange({ path: `${greeter}/Echo`, takesTrailers: true, ...changes, headers });
    path.handle(exchange);
    expect(exchange.status).toBe(code);
    expect(path.upstream.calls).toEqual([]);
  });
});

describe('the deadline of a call', () => {
  const silent: UntypedServiceImplementation = {
    Silent: (call: ServerCall) => void call.on('data', () => call.write(Buffer.from('x'))),
  };

  function ask(route: object, headers: Record<string, string>): { path: RequestPath; exchange: FakeExchange } {
    const path = new RequestPath({ allow: ['true'], more: resourcesOf('http://127.0.0.1:1', route) });
    const all = { authorization: 'Bearer alice-key', 'content-type': 'application/grpc', te: 'trailers', ...headers };
    const exchange = new FakeExchange({ path: `${greeter}/Echo`, takesTrailers: true, headers: all, bodyLater: true });
    path.handle(exchange);
    return { path, exchange };
  }

  it('is the caller’s or that of the route, whichever is shorter, and the service is told it', () => {
    const route = { timeouts: { request: '5s' } };
    const longer = ask(route, { 'grpc-timeout': '1M' }).path.upstream.last;
    expect(longer.request.timeouts).toMatchObject({ totalMs: 5_000, countsUpload: true });
    expect([longer.header('grpc-timeout'), longer.header('te')]).toEqual(['5000m', 'trailers']);
    const shorter = ask(route, { 'grpc-timeout': '250m' }).path.upstream.last;
    expect([shorter.request.timeouts.totalMs, shorter.header('grpc-timeout')]).toEqual([250, '250m']);
    const none = ask({}, {}).path.upstream.last;
    expect([none.request.timeouts.totalMs, none.header('grpc-timeout')]).toEqual([3_600_000, undefined]);
  });

  it('that cannot be read is refused', () => {
    const { exchange } = ask({}, { 'grpc-timeout': 'soon' });
    expect(exchange).toMatchObject({ status: 200, headers: { 'grpc-status': '3' } });
  });

  it('holds before an answer has begun, and within one', async () => {
    const { client, path } = await through(await service(silent), { timeouts: { request: '300ms' } });
    const waits = new Call(client, 'Silent');
    await until(() => path.streams.calls.size === 1);
    const streams = new Call(client, 'Silent').send('one');
    await until(() => streams.messages.length === 1);
    await path.clock.advance(500);
    for (const call of [waits, streams]) expect((await call.status).code).toBe(status.DEADLINE_EXCEEDED);
    expect(path.events.map(({ error }) => error)).toEqual(['upstream_timeout', 'upstream_timeout']);
  });
});

interface FakeRequestOf {
  readonly takesTrailers?: boolean;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

function resourcesOf(url: string, route: object = {}) {
  return [
    ['Backend', 'greeter', { grpc: { url } }],
    ['Route', 'greeter', { gateway: 'default', match: { path: greeter }, grpc: { backend: 'greeter' }, ...route }],
  ] as const;
}
