/** What a relay calls itself on its stream. */
export const relayUserAgent = 'signalbox-relay';
