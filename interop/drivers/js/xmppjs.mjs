// Drives @xmpp/client (npm), unmodified: one user of an XMPP server.
// Options: url, xmpp://host:port or ws://…; domain, user, password, service.

import { createRequire } from 'node:module';
import WebSocket from 'ws';
import { emit, options, serve } from './lines.mjs';

globalThis.WebSocket ??= WebSocket; // Node has its own from 22 on

const { client, xml } = createRequire(import.meta.url)('@xmpp/client');

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const COMMANDS = 'http://jabber.org/protocol/commands';

const user = client({ service: options.url, domain: options.domain, username: options.user, password: options.password });
user.on('error', (error) => console.error(error));
user.on('stanza', (stanza) => {
  const items = stanza.getChild('event', `${PUBSUB}#event`)?.getChild('items');
  const json = items?.getChild('item')?.getChild('json', 'urn:xmpp:json:0');
  if (json) emit('message', { channel: items.attrs.node, text: json.text() });
});
const online = new Promise((done) => user.on('online', done));
user.start().catch((error) => emit('failed', { error: String(error) }));

const ask = (...payload) => user.iqCaller.request(xml('iq', { type: 'set', to: options.service }, ...payload));

const failed = (error) => emit('failed', { error: error.condition ?? String(error) });

serve({
  async subscribe({ channels }) {
    const jid = (await online).bare().toString();
    await user.send(xml('presence'));
    try {
      for (const node of channels) await ask(xml('pubsub', PUBSUB, xml('subscribe', { node, jid })));
      emit('ready');
    } catch (error) { failed(error); }
  },

  async publish({ channel: node, text }) {
    await online;
    try {
      await ask(xml('pubsub', PUBSUB, xml('publish', { node }, xml('item', {}, xml('json', 'urn:xmpp:json:0', text)))));
      emit('published');
    } catch (error) { failed(error); }
  },

  async command({ name, fields }) {
    await online;
    try {
      const begun = await ask(xml('command', { xmlns: COMMANDS, node: `waft#${name}`, action: 'execute' }));
      const { sessionid } = begun.getChild('command', COMMANDS).attrs;
      const form = xml('x', { xmlns: 'jabber:x:data', type: 'submit' },
        ...Object.entries(fields).map(([name, value]) => xml('field', { var: name }, xml('value', {}, value))));
      const done = await ask(xml('command', { xmlns: COMMANDS, node: `waft#${name}`, sessionid, action: 'complete' }, form));
      const answer = done.getChild('command', COMMANDS);
      emit('message', { channel: 'command', text: `${answer.attrs.status}: ${answer.getChildText('note')}` });
    } catch (error) { failed(error); }
  },
});
