// The text a client library was given, before it made JavaScript values of it.
//
// JSON.parse turns 9007199254740993 into its even neighbour and 1.0 into 1, so
// a subscriber's callback cannot show what came over the wire. The libraries
// are not touched: they call the global JSON.parse, and here it notes each
// text on the way in. A message is then reported with the frame it came in and
// its place there; the Go side cuts the exact text out of the frame.

import { emit } from './lines.mjs';

const places = new Map(); // channel → places of the messages not yet delivered
let frames = 0;

export function watchFrames() {
  const parse = JSON.parse;
  JSON.parse = (text, reviver) => {
    const value = parse(text, reviver);
    const messages = [].concat(value);
    if (messages.some(isEvent)) {
      emit('frame', { text });
      messages.forEach((message, at) => {
        if (!isEvent(message)) return;
        if (!places.has(message.channel)) places.set(message.channel, []);
        places.get(message.channel).push({ frame: frames, at });
      });
      frames += 1;
    }
    return value;
  };
}

// To be called once for each message that the library delivers.
export function placeOf(channel) {
  return places.get(channel)?.shift();
}

// A message for subscribers, as opposed to a reply, whatever else it says of itself.
function isEvent(message) {
  return message?.channel && 'data' in message;
}
