// Drives a Faye client for Node, unmodified, of any version since 0.8.
// Options: url; package, "faye" or an alias of it in package.json; transport,
// "websocket" or "long-polling"; setup, code that is run with client and token.

import { placeOf, watchFrames } from './frames.mjs';
import { emit, options, serve } from './lines.mjs';

watchFrames();
const { default: Faye } = await import(options.package);

const client = new Faye.Client(options.url, { retry: 2 });
if (options.transport === 'long-polling') client.disable('websocket');
if (options.setup) new Function('client', 'token', options.setup)(client, options.token);

// Publishes in the order they were made, each with its id once it has one, and
// the ids of those that were answered.
const unsent = [];
const answered = new Set();

// Faye's own hook for looking at messages as they pass. It sees them before the
// application does.
let passing;
client.addExtension({
  outgoing(message, pass) {
    if (message.channel === '/meta/handshake') emit('handshake');
    if (message.channel === '/meta/connect') emit('connect', { transport: message.connectionType });
    if ('data' in message) {
      emit('sent', { id: message.id });
      unsent.shift().id = message.id;
    }
    pass(message);
  },
  incoming(message, pass) {
    passing = message.channel;
    if ('successful' in message && !('data' in message)) answered.add(message.id);
    if (message.successful) {
      if (message.channel === '/meta/subscribe') emit('subscribed', { channel: message.subscription });
      if (message.channel === '/meta/unsubscribe') emit('unsubscribed');
      if (message.channel === '/meta/disconnect') emit('disconnected');
    }
    pass(message);
  },
});

// Faye up to 1.0 has no promises, and later ones still have what it had.
function settled(what) {
  return new Promise((done, failed) => {
    what.callback(done);
    what.errback(failed);
  });
}

function publish({ channel, text }) {
  const message = {};
  unsent.push(message);
  return settled(client.publish(channel, JSON.parse(text))).then(
    () => {
      if (answered.has(message.id)) emit('published');
      else emit('failed', { error: `message ${message.id} was taken for published before it was answered` });
    },
    (error) => emit('failed', { error: `${error.code}: ${error.message}`, status: error.code }),
  );
}

const subscriptions = {};
let connected;

serve({
  async subscribe({ channels }) {
    const listen = (value) => emit('message', { channel: passing, value, place: placeOf(passing) });
    const made = client.subscribe(channels, listen);
    channels.forEach((channel, i) => (subscriptions[channel] = made[i]));
    try {
      await Promise.all(made.map(settled));
      emit('ready');
    } catch (error) {
      emit('failed', { error: `${error.code}: ${error.message}`, status: error.code });
    }
  },

  // The connection is awaited: what Faye is given before, it sends in an odd order.
  // The answer is not, but for HTTP: a WebSocket keeps the order of what is written
  // to it, and of two requests at once one may overtake.
  async publish(command) {
    await (connected ??= new Promise((done) => client.connect(done)));
    const answer = publish(command);
    if (options.transport === 'long-polling') await answer;
  },

  // What is published in one turn goes into one request, over HTTP.
  batch({ messages }) {
    messages.forEach(publish);
  },

  unsubscribe({ channel }) {
    subscriptions[channel].cancel();
  },

  disconnect() {
    client.disconnect();
  },
});
