import type { DeltaDiscoveryRequest } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';

/** Tags of `type_url` = 2 and `response_nonce` = 6 of a `DeltaDiscoveryRequest`, both length-delimited. */
const typeUrlTag = 0x12;
const nonceTag = 0x32;
const asciiEnd = 0x80;

/**
 * Reads an acknowledgement that says nothing else, as nearly all requests of a fleet are, in a tenth of the time of a whole
 * decoder: the same message. Undefined: the request says more, or says it in another way, and is for the whole decoder.
 */
export function readAcknowledgement(bytes: Buffer): DeltaDiscoveryRequest | undefined {
  const typeUrl = textField(bytes, 0, typeUrlTag);
  if (typeUrl === undefined) return undefined;
  const responseNonce = textField(bytes, 2 + typeUrl.length, nonceTag);
  if (responseNonce === undefined || 4 + typeUrl.length + responseNonce.length !== bytes.length) return undefined;
  return {
    $typeName: 'envoy.service.discovery.v3.DeltaDiscoveryRequest',
    typeUrl,
    responseNonce,
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
    initialResourceVersions: {},
  };
}

/** A field of less than 128 bytes, all of them ASCII, that begins here. */
function textField(bytes: Buffer, at: number, tag: number): string | undefined {
  const length = bytes[at + 1];
  if (bytes[at] !== tag || length === undefined || length >= asciiEnd) return undefined;
  const end = at + 2 + length;
  if (end > bytes.length) return undefined;
  for (let i = at + 2; i < end; i += 1) if ((bytes[i] ?? asciiEnd) >= asciiEnd) return undefined;
  return bytes.toString('latin1', at + 2, end);
}
