// Package wsread reads WebSockets without a goroutine for each, where it can: those that rest in a lot (package park) are read by
// its workers when something has come. What is a plain socket can; the others have a goroutine that reads, as has whoever breaks the protocol.
//
// The path. A worker reads what there is, and unit finds out how much of it is a whole message, from the frames' headers alone. A ping or a pong
// between messages is handled here. A message is given to gorilla, as the bytes that it reads next, so that its reader finds all of it and never
// waits; what it unmasks, puts together and inflates goes to Owner.Take, and what that makes of it is called at once: if it may wait
// for anything (a disk, a verification), other workers see to the other sockets meanwhile. A part of a message is kept until the rest comes.
//
// Promises:
//
//   - Take and what it gives, Pinged, Ponged, and finally Failed are called in the order of what came, by one goroutine at a time. What only they touch needs no lock.
//   - Nothing of the protocol is judged here. A frame that is not plainly right, one that closes, a message that is too large, the end of the
//     connection: from there on a goroutine has gorilla read, which finds the same, says so to the peer in its way, and ends in Failed.
//   - A socket that rests costs what its Reader, gorilla's Conn and its park.Socket take, and no buffer: that is lent to gorilla for a message.
//   - A part of a message is bounded like the message (Options.Limit), and so is how often it is looked at: what comes in many frames, or with
//     a ping or pong between them, which is answered at once, is left to a goroutine as long as it is not whole.
//
// Files: reader.go the reader, unit.go where a message ends, feed.go what gorilla reads from, upgrade.go how gorilla comes to read from there.
//
// Not here: writing (package outbox), deadlines and pings (an owner has the broker's wheel).
package wsread
