// Listens to waft's event streams, with an EventSource that is used unmodified: npm's in Node.js, or Chromium's own.
// Options: url, of the realm's events; client, "eventsource", "reconnecting-eventsource"; chromium, the program, or "" for
// Node.js; page, the origin of the page.

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emit, options, serve } from './lines.mjs';
import { openPage } from './page.mjs';

// What runs in Node.js or in the page.
function listen({ url, client, channels }, EventSource, ReconnectingEventSource, emit) {
  const query = channels.map((c) => `channel=${encodeURIComponent(c)}`).join('&');
  const stream = client === 'eventsource' ? new EventSource(`${url}?${query}`) : new ReconnectingEventSource(`${url}?${query}`, { max_retry_time: 200 });
  stream.addEventListener('message', (e) => {
    const { channel, data } = JSON.parse(e.data);
    emit('message', { channel, text: JSON.stringify(data) });
  });
  for (const name of ['ready', 'reset', 'end']) stream.addEventListener(name, (e) => emit(name, { error: e.data }));
  return stream;
}

if (options.chromium) {
  const build = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules/reconnecting-eventsource/dist');
  const script = await readFile(join(build, 'ReconnectingEventSource.min.js'), 'utf8');
  const page = await openPage(options);
  await page.addScriptTag({ content: script });
  await page.evaluate(`window.listen = ${listen}`);
  serve({
    subscribe: ({ channels }) =>
      page.evaluate((o) => void (window.stream = window.listen(o, window.EventSource, window.ReconnectingEventSource, window.emit)), { ...options, channels }),
    disconnect: () => page.evaluate(() => window.stream.close()).then(() => emit('disconnected')),
  });
} else {
  const { EventSource } = await import('eventsource');
  const { default: ReconnectingEventSource } = await import('reconnecting-eventsource');
  globalThis.EventSource = EventSource;
  globalThis.MessageEvent ??= class {};
  let stream;
  serve({
    subscribe({ channels }) {
      stream = listen({ ...options, channels }, EventSource, ReconnectingEventSource, emit);
    },
    disconnect() {
      stream.close();
      emit('disconnected');
    },
  });
}
