// A client of waft.v1 as docs/websocket.md has it: npm's ws in Node.js, or Chromium's own WebSocket. It comes back after
// every interruption. Options: url, of the realm's ws; token, shown in the first frame, or ""; chromium, the program, or "" for Node.js; page, the
// origin of the page.

import { emit, options, serve } from './lines.mjs';
import { openPage } from './page.mjs';

// What runs in Node.js or in the page.
function connect({ url, token }, WebSocket, emit) {
  const subscribes = []; // each with its place, and what it has seen since
  const publishes = []; // unanswered, oldest first
  let ws;
  let closed = false;
  let refs = 0;

  const subscribe = (s) => ws.send(JSON.stringify({ type: 'subscribe', ref: s.ref, channels: s.channels, since: s.place, seen: s.seen }));
  // Not JSON.stringify, so that the text goes out as it was given.
  const publish = (p) => ws.send(`{"type":"publish","ref":${p.ref},"channel":${JSON.stringify(p.channel)},"id":"${p.id}","data":${p.text}}`);
  const matches = (pattern, channel) =>
    pattern.endsWith('/**') ? channel.startsWith(pattern.slice(0, -2)) : pattern === channel;

  function open() {
    ws = new WebSocket(url, 'waft.v1');
    ws.onopen = () => {
      if (token) ws.send(JSON.stringify({ type: 'auth', token }));
      subscribes.forEach(subscribe);
      publishes.forEach(publish);
    };
    ws.onmessage = ({ data: text }) => {
      const frame = JSON.parse(text);
      switch (frame.type) {
        case 'message':
          for (const s of subscribes) if (s.channels.some((p) => matches(p, frame.channel))) s.seen[frame.channel] = frame.position;
          emit('message', { channel: frame.channel, text: text.slice(text.indexOf(',"data":') + 8, -1) });
          return;
        case 'subscribed':
        case 'place':
        case 'lost': {
          const s = subscribes.find((s) => s.ref === frame.ref);
          s.place = frame.place;
          s.seen = {};
          if (frame.type === 'subscribed') emit('ready');
          if (frame.type === 'lost' || frame.lost) emit('lost');
          return;
        }
        case 'published':
          publishes.splice(publishes.findIndex((p) => p.ref === frame.ref), 1);
          emit('published');
          return;
        case 'error':
          emit('failed', { error: `${frame.code}: ${frame.message}` });
          return;
        default:
          emit(frame.type, { error: text });
      }
    };
    ws.onclose = ({ code, reason }) => {
      emit('closed', { status: code, error: reason });
      if (closed) emit('disconnected');
      else setTimeout(open, 50);
    };
    ws.onerror = () => {}; // onclose follows
  }
  open();

  const ready = () => ws.readyState === 1;
  return {
    subscribe(channels) {
      const s = { ref: ++refs, channels, seen: {} };
      subscribes.push(s);
      if (ready()) subscribe(s);
    },
    publish(channel, text) {
      const p = { ref: ++refs, channel, text, id: `${Math.random()}` };
      publishes.push(p);
      if (ready()) publish(p);
    },
    disconnect() {
      closed = true;
      ws.close(1000);
    },
  };
}

if (options.chromium) {
  const page = await openPage(options);
  await page.evaluate(`window.client = (${connect})(${JSON.stringify(options)}, WebSocket, window.emit)`);
  serve({
    subscribe: ({ channels }) => page.evaluate((c) => window.client.subscribe(c), channels),
    publish: ({ channel, text }) => page.evaluate(([c, t]) => window.client.publish(c, t), [channel, text]),
    disconnect: () => page.evaluate(() => window.client.disconnect()),
  });
} else {
  const { WebSocket } = await import('ws');
  const client = connect(options, WebSocket, emit);
  serve({
    subscribe: ({ channels }) => client.subscribe(channels),
    publish: ({ channel, text }) => client.publish(channel, text),
    disconnect: () => client.disconnect(),
  });
}
