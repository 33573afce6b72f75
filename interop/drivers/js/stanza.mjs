// Drives stanza (npm), unmodified: one user of an XMPP server over WebSocket. It reads JSON payloads by itself, so its
// texts are what JSON.stringify makes of them. Options: url; domain, user, password, service.

import { createRequire } from 'node:module';
import { emit, options, serve } from './lines.mjs';

const { createClient } = createRequire(import.meta.url)('stanza');

const JSON_NS = 'urn:xmpp:json:0';

const user = createClient({
  jid: `${options.user}@${options.domain}`, password: options.password,
  transports: { websocket: options.url, bosh: false }, autoReconnect: false,
});
const online = new Promise((done) => user.on('session:started', done));
user.on('auth:failed', () => emit('failed', { error: 'not authorized' }));
user.on('pubsub:published', ({ pubsub: { items } }) => {
  for (const item of items.published) emit('message', { channel: items.node, text: JSON.stringify(item.content.json) });
});
user.connect();

const failed = (answer) => emit('failed', { error: answer?.error?.condition ?? String(answer) });

serve({
  async subscribe({ channels }) {
    await online;
    user.sendPresence();
    try {
      for (const node of channels) await user.subscribeToNode(options.service, { node, useBareJID: true });
      emit('ready');
    } catch (answer) { failed(answer); }
  },

  async publish({ channel, text }) {
    await online;
    try {
      await user.publish(options.service, channel, { itemType: JSON_NS, json: JSON.parse(text) });
      emit('published');
    } catch (answer) { failed(answer); }
  },

  async command({ name, fields }) {
    await online;
    const ask = (command) => user.sendIQ({ type: 'set', to: options.service, command: { node: `waft#${name}`, ...command } });
    try {
      const { command: { sid } } = await ask({ action: 'execute' });
      const form = { type: 'submit', fields: Object.entries(fields).map(([name, value]) => ({ name, type: 'text-single', value })) };
      const { command } = await ask({ sid, action: 'complete', form });
      emit('message', { channel: 'command', text: `${command.status}: ${command.notes?.[0]?.value}` });
    } catch (answer) { failed(answer); }
  },
});
