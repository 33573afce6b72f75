// Drives the CometD client for JavaScript over a link that loses things, with
// its own extensions, unmodified.
// Options: url; transport, "websocket" or "long-polling"; ack, if its
// acknowledge extension is to be used.

import { CometD } from 'cometd';
import { AckExtension } from 'cometd/AckExtension.js';
import { adapt } from 'cometd-nodejs-client';
import { emit, options, serve } from './lines.mjs';

adapt();

const client = new CometD();
for (const type of ['websocket', 'long-polling', 'callback-polling']) {
  if (type !== options.transport) client.unregisterTransport(type);
}
client.configure({ url: options.url, logLevel: 'warn', backoffIncrement: 20, maxBackoff: 200 });

// Times that fit those of the server. Not from the beginning: a subscription that a busy machine answers late is one that CometD gives up.
const impatient = { maxNetworkDelay: 300, connectTimeout: 1000 };

if (options.ack) client.registerExtension('ack', new AckExtension());

client.registerExtension('watch', {
  outgoing(message) {
    if (message.channel === '/meta/handshake') emit('handshake');
    return message;
  },
});

serve({
  subscribe({ channels: [channel] }) {
    client.handshake(() => {
      client.subscribe(
        channel,
        ({ data }) => emit('message', { channel, text: JSON.stringify(data) }),
        ({ successful, error }) => {
          if (!successful) return emit('failed', { error });
          client.configure(impatient);
          emit('ready');
        },
      );
    });
  },
});
