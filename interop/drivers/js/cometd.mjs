// Drives a CometD client for JavaScript in Node, of any version since 3.1, by the
// project's own adapter (npm `cometd-nodejs-client`), all unmodified.
// Options: url; package, "cometd" or an alias of it in package.json; transport,
// "websocket" or "long-polling"; ack, "true" to use the acknowledge extension;
// setup, code that is run with client and token.

import { adapt } from 'cometd-nodejs-client';
import { placeOf, watchFrames } from './frames.mjs';
import { emit, options, serve } from './lines.mjs';

watchFrames();
adapt();

// Up to version 7 they are CommonJS modules, later ones export classes.
const library = await import(`${options.package}/cometd.js`);
const { CometD } = library.CometD ? library : library.default;

const client = new CometD();
for (const type of ['websocket', 'long-polling', 'callback-polling']) {
  if (type !== options.transport) client.unregisterTransport(type);
}
client.configure({ url: options.url, logLevel: 'warn' });

if (options.setup) new Function('client', 'token', options.setup)(client, options.token);
if (options.ack === 'true') {
  const extension = await import(`${options.package}/AckExtension.js`);
  client.registerExtension('ack', new (extension.AckExtension ?? extension.default)());
}

client.registerExtension('watch', {
  outgoing(message) {
    if (message.channel === '/meta/handshake') emit('handshake');
    if (message.channel === '/meta/connect') emit('connect', { transport: message.connectionType });
    if ('data' in message) emit('sent', { id: message.id });
    return message;
  },
  incoming(message) {
    if (message.channel === '/meta/handshake' && message.ext?.ack) emit('ack');
    return message;
  },
});

let wanted = [];
const subscriptions = {};

// CometD leaves it to the application to subscribe again after a handshake.
client.addListener('/meta/handshake', ({ successful }) => {
  if (successful) client.batch(() => wanted.forEach(subscribe));
});

function subscribe(channel) {
  subscriptions[channel] = client.subscribe(
    channel,
    ({ channel, data }) => emit('message', { channel, value: data, place: placeOf(channel) }),
    (reply) => {
      if (!reply.successful) return failed(reply);
      emit('subscribed', { channel });
      if (channel === wanted.at(-1)) emit('ready');
    },
  );
}

function publish({ channel, text }) {
  client.publish(channel, JSON.parse(text), (reply) => {
    if (!reply.successful) failed(reply);
    else if ('data' in reply) emit('failed', { error: `${reply.channel} was taken for a reply` });
    else emit('published');
  });
}

function failed({ error, failure }) {
  emit('failed', { error: error || failure?.reason || `WebSocket closed with ${failure?.websocketCode}`, status: parseInt(error) || 0 });
}

let connected;

serve({
  subscribe({ channels }) {
    wanted = channels;
    client.handshake();
  },

  // The answer is not awaited: a WebSocket keeps the order of what is written to
  // it. The handshake is: what CometD is given before, it sends as one frame.
  async publish(command) {
    if (wanted.length === 0) await (connected ??= new Promise((done) => client.handshake(done)));
    publish(command);
  },

  batch({ messages }) {
    client.batch(() => messages.forEach(publish));
  },

  unsubscribe({ channel }) {
    client.unsubscribe(subscriptions[channel], () => emit('unsubscribed'));
  },

  disconnect() {
    client.disconnect(() => emit('disconnected'));
  },
});
