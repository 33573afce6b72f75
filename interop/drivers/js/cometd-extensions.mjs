// Drives the CometD client for JavaScript with its own extensions, unmodified:
// acknowledge, timesync, timestamp, binary and reload. What browsers keep over a reload is
// kept here in a map.
// Options: url; transport, "websocket" or "long-polling".

import { CometD } from 'cometd';
import { AckExtension } from 'cometd/AckExtension.js';
import { BinaryExtension } from 'cometd/BinaryExtension.js';
import { ReloadExtension } from 'cometd/ReloadExtension.js';
import { TimeStampExtension } from 'cometd/TimeStampExtension.js';
import { TimeSyncExtension } from 'cometd/TimeSyncExtension.js';
import { adapt } from 'cometd-nodejs-client';
import { emit, options, serve } from './lines.mjs';

adapt();

const kept = new Map();
window.sessionStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};

// A page: everything begins anew with it.
function load() {
  const client = new CometD();
  for (const type of ['websocket', 'long-polling', 'callback-polling']) {
    if (type !== options.transport) client.unregisterTransport(type);
  }
  client.configure({ url: options.url, logLevel: 'warn' });
  client.registerExtension('ack', new AckExtension());
  client.registerExtension('binary', new BinaryExtension());
  client.registerExtension('timesync', (client.time = new TimeSyncExtension()));
  client.registerExtension('timestamp', new TimeStampExtension());
  client.registerExtension('reload', new ReloadExtension());
  client.registerExtension('watch', {
    outgoing(message) {
      if (message.channel === '/meta/handshake') emit('handshake');
      return message;
    },
    incoming(message) {
      if (message.channel === channel) emit('message', { channel: 'timestamp', text: String(message.timestamp) });
      return message;
    },
  });
  return client;
}

let channel;

let client = load();

const text = ({ data, last, meta }) => `${Buffer.from(data)} ${last} ${JSON.stringify(meta)}`;

const deliver = ({ channel, data, ext }) => emit('message', { channel, text: ext?.binary ? text(data) : JSON.stringify(data) });

serve({
  subscribe({ channels }) {
    [channel] = channels;
    client.handshake(() => client.subscribe(channel, deliver, () => emit('ready')));
  },

  publish({ channel, text }) {
    const data = new TextEncoder().encode(text);
    client.publishBinary(channel, data, true, { n: 1 }, ({ successful, error }) => (successful ? emit('published') : emit('failed', { error })));
  },

  // Says by how much the clocks differ, in milliseconds, and how many times it has asked.
  time() {
    emit('message', { channel: 'time', text: String(client.time.getTimeOffset()) });
  },

  reload() {
    client.reload();
    client = load();
    client.handshake((reply) => {
      emit('message', { channel: 'reload', text: String(reply.ext?.reload === true) });
    });
    client.addListener(channel, deliver); // the subscription is the session's, and still there
  },
});
