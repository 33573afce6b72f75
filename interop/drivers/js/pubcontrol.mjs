// Drives the second generation of Fanout's publisher (npm
// `@fanoutio/pubcontrol`), unmodified.
// Options: url, of waft; realm; key, base64.

import PubControl from '@fanoutio/pubcontrol';
import { emit, options, serve } from './lines.mjs';

const { Format, Item } = PubControl;

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

const publisher = new PubControl({
  uri: `${options.url}/realm/${options.realm}`,
  iss: options.realm,
  key: Buffer.from(options.key, 'base64'),
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
