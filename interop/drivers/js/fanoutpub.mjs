// Drives the publisher that Fanout Cloud's customers used (npm `fanoutpub`),
// unmodified.
// Options: url, of waft; realm; key, base64.

import { emit, options, serve } from './lines.mjs';

// The library has the name of the service built in, so this fetch does what an
// entry in /etc/hosts and a port redirect would do. It must be in place before
// the library is loaded.
const { fetch } = globalThis;
globalThis.fetch = (url, init) => fetch(url.replace('http://api.fanout.io', options.url), init);

const { Fanout } = (await import('fanoutpub')).default;
const fanout = new Fanout(options.realm, options.key, false);

serve({
  // Awaited: each publish is an HTTP request, and two at once may overtake.
  publish: ({ channel, text, id, prev }) =>
    new Promise((done) => {
      fanout.publish(channel, JSON.parse(text), id, prev, (success, message, context) => {
        if (success) emit('published');
        else emit('failed', { error: message, status: context.statusCode });
        done();
      });
    }),
});
