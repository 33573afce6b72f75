// Drives the CometD client for JavaScript (npm `cometd`) in Node, by the
// project's own adapter (npm `cometd-nodejs-client`), both unmodified.
// Options: url; transport, "websocket" or "long-polling".

import { CometD } from 'cometd';
import { adapt } from 'cometd-nodejs-client';
import { placeOf, watchFrames } from './frames.mjs';
import { emit, options, serve } from './lines.mjs';

watchFrames();
adapt();

const client = new CometD();
for (const type of ['websocket', 'long-polling', 'callback-polling']) {
  if (type !== options.transport) client.unregisterTransport(type);
}
client.configure({ url: options.url, logLevel: 'warn' });

client.registerExtension('watch', {
  outgoing(message) {
    if (message.channel === '/meta/handshake') emit('handshake');
    if (message.channel === '/meta/connect') emit('connect', { transport: message.connectionType });
    return message;
  },
});

let wanted = [];

// CometD leaves it to the application to subscribe again after a handshake.
client.addListener('/meta/handshake', ({ successful }) => {
  if (successful) client.batch(() => wanted.forEach(subscribe));
});

function subscribe(channel) {
  client.subscribe(
    channel,
    ({ data }) => emit('message', { channel, value: data, place: placeOf(channel) }),
    (reply) => {
      if (!reply.successful) return failed(reply);
      emit('subscribed', { channel });
      if (channel === wanted.at(-1)) emit('ready');
    },
  );
}

function failed({ error, failure }) {
  emit('failed', { error: error || failure?.reason || `WebSocket closed with ${failure?.websocketCode}` });
}

let connected;

serve({
  subscribe({ channels }) {
    wanted = channels;
    client.handshake();
  },

  // The answer is not awaited: a WebSocket keeps the order of what is written to
  // it. The handshake is: what CometD is given before, it sends as one frame.
  async publish({ channel, text }) {
    await (connected ??= new Promise((done) => client.handshake(done)));
    client.publish(channel, JSON.parse(text), (reply) => (reply.successful ? emit('published') : failed(reply)));
  },
});
