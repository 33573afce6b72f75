// Drives the Faye client for Node (npm `faye`), unmodified.
// Options: url; transport, "websocket" or "long-polling".

import Faye from 'faye';
import { placeOf, watchFrames } from './frames.mjs';
import { emit, options, serve } from './lines.mjs';

watchFrames();

const client = new Faye.Client(options.url);
if (options.transport === 'long-polling') client.disable('websocket');

// Faye's own hook for looking at messages as they pass.
client.addExtension({
  outgoing(message, pass) {
    if (message.channel === '/meta/handshake') emit('handshake');
    if (message.channel === '/meta/connect') emit('connect', { transport: message.connectionType });
    pass(message);
  },
  incoming(message, pass) {
    if (message.channel === '/meta/subscribe' && message.successful) {
      emit('subscribed', { channel: message.subscription });
    }
    pass(message);
  },
});

let connected;

serve({
  async subscribe({ channels }) {
    for (const channel of channels) {
      await client.subscribe(channel, (value) => emit('message', { channel, value, place: placeOf(channel) }));
    }
    emit('ready');
  },

  // The answer is not awaited: a WebSocket keeps the order of what is written to
  // it. The connection is: what Faye is given before, it sends in an odd order.
  async publish({ channel, text }) {
    await (connected ??= new Promise((done) => client.connect(done)));
    client.publish(channel, JSON.parse(text)).then(
      () => emit('published'),
      (error) => emit('failed', { error: `${error.code}: ${error.message}`, status: error.code }),
    );
  },
});
