// Drives Faye's or CometD's client in Chromium, all unmodified, through
// playwright-core, which does no more than start the browser and run code in the
// page: no request is intercepted.
// Options: url; client, "faye" or "cometd"; transport; page, the origin of the
// page, or "" for a page of waft's own origin; referrer, the page's policy, or "";
// chromium, the program; pin, the hash of a key whose certificate is believed.
//
// A page of another origin comes from a server here. One of waft's own is the
// client script that waft serves: a text, but a document all the same.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { emit, options, serve } from './lines.mjs';

const packages = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules');

// The page, and the clients as they were published.
const files = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://page');
  response.setHeader('Access-Control-Allow-Origin', '*');
  if (pathname === '/') {
    response.setHeader('Content-Type', 'text/html');
    if (options.referrer) response.setHeader('Referrer-Policy', options.referrer);
    response.end('<!DOCTYPE html><title>page</title>');
    return;
  }
  try {
    const text = await readFile(join(packages, pathname));
    response.setHeader('Content-Type', 'text/javascript');
    response.end(text);
  } catch {
    response.statusCode = 404;
    response.end();
  }
});
const port = options.page ? Number(new URL(options.page).port) : 0;
await new Promise((done) => files.listen(port, '127.0.0.1', done));
const scripts = `http://127.0.0.1:${files.address().port}`;

const browser = await chromium.launch({
  executablePath: options.chromium,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync',
    ...(options.pin ? [`--ignore-certificate-errors-spki-list=${options.pin}`] : []),
    // Names under which a server on this machine is one that browsers do not
    // trust: they tell it nothing of where a request comes from but the Referer.
    '--host-resolver-rules=MAP *.test 127.0.0.1',
  ],
});
const page = await browser.newPage();
page.on('pageerror', (error) => emit('pageerror', { error: String(error) }));
page.on('console', (message) => console.log(message.text()));
page.on('request', (request) => {
  if (!request.url().startsWith(options.url)) return;
  const kind = request.url().includes('jsonp=') ? 'jsonp' : request.resourceType();
  console.log(request.method(), kind);
  emit('request ' + kind);
});
await page.exposeFunction('emit', emit);
await page.goto(options.page || `${options.url}/client.js`);

// In the page: window.driver with the commands below.
const drivers = {
  faye: async ({ url, transport, cross, scripts }) => {
    await new Promise((done, failed) => {
      const script = document.createElement('script');
      Object.assign(script, { src: cross ? `${scripts}/faye/client/faye-browser.js` : `${url}/client.js`, onload: done, onerror: failed });
      document.head.append(script);
    });
    const client = new Faye.Client(url, { retry: 1 });
    // Faye shakes hands by the one or the other, whatever comes then.
    const first = cross ? 'callback-polling' : transport === 'callback-polling' ? '' : 'long-polling';
    for (const type of ['websocket', 'eventsource', 'long-polling', 'cross-origin-long-polling', 'callback-polling']) {
      if (type !== transport && type !== first) client.disable(type);
    }
    client.addExtension({
      outgoing(message, pass) {
        if (message.channel === '/meta/handshake') emit('handshake');
        if (message.channel === '/meta/connect') emit('connect', { transport: message.connectionType });
        pass(message);
      },
      incoming(message, pass) {
        if (message.channel === '/meta/subscribe' && message.successful) emit('subscribed', { channel: String(message.subscription) });
        pass(message);
      },
    });
    const subscriptions = {};
    const publish = ({ channel, text }) =>
      client.publish(channel, JSON.parse(text)).then(
        () => emit('published'),
        (error) => emit('failed', { error: `${error.code}: ${error.message}`, status: error.code }),
      );
    window.driver = {
      publish,
      batch: ({ messages }) => Promise.all(messages.map(publish)),
      async subscribe({ channels }) {
        const listen = (channel, value) => emit('message', { channel, text: JSON.stringify(value) });
        for (const c of channels) await (subscriptions[c] = client.subscribe(c).withChannel(listen));
        emit('ready');
      },
      unsubscribe({ channel }) {
        subscriptions[channel].cancel();
        return new Promise((done) => {
          client.addExtension({
            incoming(message, pass) {
              if (message.channel === '/meta/unsubscribe') emit('unsubscribed'), done();
              pass(message);
            },
          });
        });
      },
      async disconnect() {
        await client.disconnect();
        emit('disconnected');
      },
    };
  },

  cometd: async ({ url, transport, scripts }) => {
    const { CometD } = await import(`${scripts}/cometd/cometd.js`);
    const client = new CometD();
    for (const type of ['websocket', 'long-polling', 'callback-polling']) {
      if (type !== transport) client.unregisterTransport(type);
    }
    client.configure({ url, logLevel: 'warn' });
    client.registerExtension('watch', {
      outgoing(message) {
        if (message.channel === '/meta/handshake') emit('handshake');
        if (message.channel === '/meta/connect') emit('connect', { transport: message.connectionType });
        return message;
      },
    });
    const failed = ({ error, failure }) => emit('failed', { error: error || failure?.reason || 'no reply' });
    const subscriptions = {};
    let wanted = [];
    client.addListener('/meta/handshake', (reply) => {
      if (!reply.successful) return failed(reply);
      client.batch(() => {
        for (const c of wanted) {
          subscriptions[c] = client.subscribe(
            c,
            ({ channel, data }) => emit('message', { channel, text: JSON.stringify(data) }),
            (answer) => {
              if (!answer.successful) return failed(answer);
              emit('subscribed', { channel: c });
              if (c === wanted.at(-1)) emit('ready');
            },
          );
        }
      });
    });
    const publish = ({ channel, text }) =>
      new Promise((done) =>
        client.publish(channel, JSON.parse(text), (reply) => {
          if (reply.successful) emit('published');
          else failed(reply);
          done();
        }),
      );
    window.driver = {
      publish,
      batch({ messages }) {
        const answers = [];
        client.batch(() => messages.forEach((message) => answers.push(publish(message))));
        return Promise.all(answers);
      },
      subscribe({ channels }) {
        wanted = channels;
        client.handshake();
      },
      unsubscribe({ channel }) {
        return new Promise((done) => client.unsubscribe(subscriptions[channel], () => emit('unsubscribed').then(done)));
      },
      disconnect() {
        return new Promise((done) => client.disconnect(() => emit('disconnected').then(done)));
      },
    };
  },
};

await page.evaluate(drivers[options.client], { ...options, cross: options.page !== '', scripts });

const run = (command) => page.evaluate((c) => window.driver[c.op](c), command);
// The browser ends with this process, whatever becomes of it.
serve({ subscribe: run, publish: run, batch: run, unsubscribe: run, disconnect: run });
