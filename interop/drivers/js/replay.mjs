// Drives Faye or CometD, unmodified, with a replay extension as the users of
// Salesforce's streaming write it: it notes where each channel stands, and says
// so with every subscribe.
// Options: url; library, "faye" or "cometd"; transport, "websocket" or
// "long-polling"; positions, if waft's own positions are to be used and not
// Salesforce's numbers.

import { emit, options, serve } from './lines.mjs';

const last = {}; // channel → where it stands

function note({ channel, data, ext }) {
  const at = options.positions ? ext?.replay : data?.event?.replayId;
  if (at) last[channel] = at;
}

function hear(channel, data) {
  emit('message', { channel, text: JSON.stringify(data.n) });
}

function refused(error) {
  emit('failed', { error });
}

// A client of Faye's that has left does not come back: there is another.
async function faye() {
  const { default: Faye } = await import('faye');
  const extension = {
    outgoing(message, pass) {
      if (message.channel === '/meta/handshake' && options.positions) message.ext = { ...message.ext, replay: true };
      if (message.channel === '/meta/subscribe' && message.subscription in last) {
        message.ext = { ...message.ext, replay: { [message.subscription]: last[message.subscription] } };
      }
      pass(message);
    },
    incoming(message, pass) {
      note(message);
      if (message.channel === '/meta/subscribe') message.successful ? emit('ready') : refused(message.error);
      if (message.channel === '/meta/disconnect' && message.successful) emit('disconnected');
      pass(message);
    },
  };
  let client;
  return {
    subscribe(channel) {
      if (!client) {
        client = new Faye.Client(options.url, { retry: 1 });
        if (options.transport === 'long-polling') client.disable('websocket');
        client.addExtension(extension);
      }
      client.unsubscribe(channel); // what was refused
      client.subscribe(channel, (data) => hear(channel, data)).then(null, () => {});
    },
    leave() {
      client.disconnect();
      client = undefined;
    },
  };
}

// Salesforce's own extension for CometD sends all it knows with every
// subscribe, once the server has said at the handshake that it can do it.
async function cometd() {
  const { adapt } = await import('cometd-nodejs-client');
  const { CometD } = await import('cometd');
  adapt();
  const client = new CometD();
  for (const type of ['websocket', 'long-polling', 'callback-polling']) {
    if (type !== options.transport) client.unregisterTransport(type);
  }
  client.configure({ url: options.url, logLevel: 'warn', backoffIncrement: 100, maxBackoff: 500 });
  let enabled = false;
  client.registerExtension('replay', {
    outgoing(message) {
      if (message.channel === '/meta/handshake') message.ext = { ...message.ext, replay: true };
      if (message.channel === '/meta/subscribe' && enabled) message.ext = { ...message.ext, replay: last };
      return message;
    },
    incoming(message) {
      if (message.channel === '/meta/handshake') enabled = message.ext?.replay === true;
      note(message);
      return message;
    },
  });
  let wanted;
  const subscribe = () =>
    client.subscribe(
      wanted,
      ({ channel, data }) => hear(channel, data),
      ({ successful, error }) => (successful ? emit('ready') : refused(error)),
    );
  client.addListener('/meta/handshake', ({ successful }) => successful && subscribe());
  return {
    subscribe(channel) {
      wanted = channel;
      if (client.isDisconnected()) client.handshake();
      else subscribe();
    },
    leave: () => client.disconnect(() => emit('disconnected')),
  };
}

const client = await { faye, cometd }[options.library]();

serve({
  // text is where to begin, if that is not where the channel stands.
  subscribe({ channels: [channel], text }) {
    if (text) last[channel] = JSON.parse(text);
    client.subscribe(channel);
  },

  disconnect() {
    client.leave();
  },
});
