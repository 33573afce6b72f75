// Drives the Faye client for Node over a link that loses things, unmodified.
// Options: url; transport, "websocket" or "long-polling".

import Faye from 'faye';
import { emit, options, serve } from './lines.mjs';

const client = new Faye.Client(options.url, { retry: 0.1 });
if (options.transport === 'long-polling') client.disable('websocket');

client.addExtension({
  outgoing(message, pass) {
    if (message.channel === '/meta/handshake') emit('handshake');
    pass(message);
  },
});

serve({
  async subscribe({ channels: [channel] }) {
    await client.subscribe(channel, (value) => emit('message', { channel, text: JSON.stringify(value) }));
    emit('ready');
  },
});
