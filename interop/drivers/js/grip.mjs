// Drives the GRIP library (npm `@fanoutio/grip`) as a publisher, unmodified.
// Options: url, of waft; realm; key, base64.
//
// The library ships formats for held HTTP requests and WebSockets only, and
// leaves further ones to its users: a json-object is a Format of three lines.

import { Format, Item, Publisher } from '@fanoutio/grip';
import { emit, options, serve } from './lines.mjs';

class JsonObject extends Format {
  constructor(value) {
    super();
    this.value = value;
  }
  name() {
    return 'json-object';
  }
  export() {
    return this.value;
  }
}

const publisher = new Publisher({
  control_uri: `${options.url}/realm/${options.realm}`,
  control_iss: options.realm,
  key: `base64:${options.key}`,
});

serve({
  // Awaited: each publish is an HTTP request, and two at once may overtake.
  async publish({ channel, text, id, prev }) {
    try {
      await publisher.publish(channel, new Item(new JsonObject(JSON.parse(text)), id, prev));
      emit('published');
    } catch ({ message, context }) {
      emit('failed', { error: message, status: context?.statusCode });
    }
  },
});
