// Drives strophe.js and its pubsub plugin (npm strophe.js, strophejs-plugin-pubsub), unmodified: one user of an XMPP
// server over WebSocket. Options: url; domain, user, password, service.

import { createRequire } from 'node:module';
import WebSocket from 'ws';
import { emit, options, serve } from './lines.mjs';

const require = createRequire(import.meta.url);
const { DOMImplementation, DOMParser, XMLSerializer } = require('@xmldom/xmldom');

// What strophe finds in a browser.
Object.assign(globalThis, { WebSocket, DOMParser, XMLSerializer, document: new DOMImplementation().createDocument(null, null, null) });

const { $iq, $pres, Strophe } = require('strophe.js');
require('strophejs-plugin-pubsub');

const COMMANDS = 'http://jabber.org/protocol/commands';

const user = new Strophe.Connection(options.url);
const jid = `${options.user}@${options.domain}`;
const online = new Promise((done) => {
  user.connect(`${jid}/strophe`, options.password, (status, reason) => {
    if (status === Strophe.Status.CONNECTED) done();
    if (status === Strophe.Status.AUTHFAIL || status === Strophe.Status.CONNFAIL) emit('failed', { error: String(reason) });
  });
});
online.then(() => user.pubsub.connect(jid, options.service));

const first = (element, name) => element.getElementsByTagName(name)[0];

function condition(stanza) {
  return (stanza && first(stanza, 'error')?.firstChild?.nodeName) ?? 'no answer';
}

const failed = (stanza) => emit('failed', { error: condition(stanza) });

function received(message) {
  const json = first(message, 'json');
  if (json) emit('message', { channel: first(message, 'items').getAttribute('node'), text: Strophe.xmlunescape(Strophe.getText(json)) });
  return true; // go on listening
}

const ask = (iq) => new Promise((done, refused) => user.sendIQ(iq, done, refused));

serve({
  async subscribe({ channels }) {
    await online;
    user.send($pres());
    user.addHandler(received, null, 'message', null, null, options.service);
    for (const channel of channels) {
      // The plugin subscribes the bare JID if it is told so, and calls back for errors too.
      const refused = await new Promise((done) => user.pubsub.subscribe(channel, undefined, () => true, () => done(), done, true));
      if (refused) return failed(refused);
    }
    emit('ready');
  },

  async publish({ channel, text }) {
    await online;
    const json = document.createElementNS('urn:xmpp:json:0', 'json');
    json.setAttribute('xmlns', 'urn:xmpp:json:0');
    json.appendChild(document.createTextNode(text));
    const answer = await new Promise((done) => user.pubsub.publish(channel, [{ attrs: {}, data: json }], done));
    if (answer.getAttribute('type') === 'result') emit('published');
    else failed(answer);
  },

  async command({ name, fields }) {
    await online;
    try {
      const begun = await ask($iq({ type: 'set', to: options.service }).c('command', { xmlns: COMMANDS, node: `waft#${name}`, action: 'execute' }));
      const sessionid = first(begun, 'command').getAttribute('sessionid');
      const iq = $iq({ type: 'set', to: options.service }).c('command', { xmlns: COMMANDS, node: `waft#${name}`, sessionid, action: 'complete' })
        .c('x', { xmlns: 'jabber:x:data', type: 'submit' });
      for (const [name, value] of Object.entries(fields)) iq.c('field', { var: name }).c('value').t(value).up().up();
      const done = await ask(iq);
      emit('message', { channel: 'command', text: `${first(done, 'command').getAttribute('status')}: ${Strophe.xmlunescape(Strophe.getText(first(done, 'note')))}` });
    } catch (stanza) {
      failed(stanza);
    }
  },
});
