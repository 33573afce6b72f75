// Drives many Faye clients, unmodified, one after the other: each starts while something is published, and subscribes to more while it finds its
// transport. What a client has heard comes as one message when it has left.
// Options: url, transport, channel; clients, how many; chromium, the program if they are to run in a page of waft's own: else they run here, twenty at a time.

import { emit, options } from './lines.mjs';

// What one client hears. It also runs in a page, by itself.
async function start({ url, transport, channel }, Faye = globalThis.Faye) {
  const pause = (most) => new Promise((done) => setTimeout(done, Math.random() * most));
  const client = new Faye.Client(url, { retry: 1 });
  for (const type of ['websocket', 'eventsource', 'long-polling', 'cross-origin-long-polling', 'callback-polling']) {
    if (type !== transport && type !== 'long-polling') client.disable(type);
  }
  const heard = [];
  let last = '';
  client.addExtension({
    outgoing(message, pass) {
      if (message.connectionType) last = message.connectionType;
      pass(message);
    },
  });
  client.subscribe(channel, (n) => heard.push(n));
  for (let n = 0; n < 8; n++) {
    await pause(30);
    client.subscribe(`/open/starts/other/${n}`, () => {});
  }
  await pause(300);
  await client.disconnect();
  return { heard, transport: last };
}

function tell({ heard, transport }) {
  emit(`left ${transport}`);
  emit('message', { channel: 'heard', text: heard.join(' ') });
}

const clients = Number(options.clients);
if (options.chromium) {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({ executablePath: options.chromium, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] });
  const page = await browser.newPage();
  const script = `${options.url}/client.js`;
  await page.goto(script); // a text, but a document all the same
  await page.addScriptTag({ url: script });
  for (let n = 0; n < clients; n++) tell(await page.evaluate(start, options));
  await browser.close();
} else {
  const { default: Faye } = await import('faye');
  const abreast = 20;
  for (let n = 0; n < clients; n += abreast) {
    await Promise.all(Array.from({ length: abreast }, async () => tell(await start(options, Faye))));
  }
}
emit('ready');
process.exit(0);
