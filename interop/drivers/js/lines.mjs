// The conversation between a driver and the Go tests: one JSON value per line,
// commands on stdin, events on stdout. What a library logs goes to stderr.

import { Console } from 'node:console';
import { createInterface } from 'node:readline';

const parse = JSON.parse; // before frames.mjs puts a listening one in its place

globalThis.console = new Console(process.stderr);

// The driver's one argument: where to connect and as whom.
export const options = parse(process.argv[2]);

export function emit(ev, fields) {
  process.stdout.write(JSON.stringify({ ev, ...fields }) + '\n');
}

// Runs handlers[command.op] for every command, in order. A handler that returns
// a promise holds back the commands behind it; one that does not lets them
// follow at once, which is right for a client that keeps order by itself.
export async function serve(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = parse(line);
    await handlers[command.op](command);
  }
  process.exit(0);
}
