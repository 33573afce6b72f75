// Drives Fanout's long-polling library (npm `pollymer`), unmodified, against a
// channel's messages.
// Options: url, of waft; realm; token, "" for none.

import { emit, options, serve } from './lines.mjs';

// The library is for pages. This is as much of one as it asks for: requests with
// a status, headers and a text.
class XMLHttpRequest {
  withCredentials = false;
  readyState = 0;
  headers = {};
  stop = new AbortController();

  open(method, url) {
    Object.assign(this, { method, url });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  async send(body) {
    try {
      const answer = await fetch(this.url, { method: this.method, headers: this.headers, body, signal: this.stop.signal });
      this.responseText = await answer.text();
      this.status = answer.status;
      this.answered = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join('\r\n');
    } catch {
      Object.assign(this, { status: 0, responseText: '', answered: '' });
    }
    this.readyState = 4;
    this.onreadystatechange();
  }

  getAllResponseHeaders() {
    return this.answered;
  }

  abort() {
    this.stop.abort();
  }
}
globalThis.window = { XMLHttpRequest };

const { default: module } = await import('pollymer');
const { Request } = module.default ?? module;
const headers = options.token ? { Authorization: `Bearer ${options.token}` } : {};

serve({
  // Polls each channel from where it is now: a first request without waiting, and
  // then one after the other from the position of the last.
  subscribe({ channels }) {
    for (const channel of channels) {
      const address = `${options.url}/realm/${options.realm}/channels/${encodeURIComponent(channel)}/messages`;
      let position;
      const poll = new Request({ recurring: true, maxTries: -1, maxDelay: 20 });
      poll.on('finished', (code, result) => {
        if (code !== 200) {
          emit('failed', { error: result?.message ?? String(result), status: code });
          return;
        }
        if (position === undefined) emit('ready');
        else for (const { data } of result.messages) emit('message', { channel, text: JSON.stringify(data) });
        position = result.position;
      });
      poll.start('GET', () => (position === undefined ? address : `${address}?wait=30&since=${position}`), headers);
    }
  },
});
