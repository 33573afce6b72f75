// Package bayeux is the Bayeux 1.0 door: an http.Handler that clients of Faye and CometD talk to, over WebSocket, long-polling,
// callback-polling (JSONP) and EventSource.
//
// What flows. A request or a frame is an exchange: its body or query becomes messages (envelope.go), each message is handled
// by the file named after its channel, and each is answered by exactly one reply with its id as it was written. A
// handshake makes a session, which wraps a broker session: the queue of what waits for the client. A session has one
// endpoint at a time, a held poll, a socket or a stream, and the newest wins, but for a poll that may be older than it seems
// (connectids.go, connectPoll). An event is encoded once, as a finished frame of its own, and shared by every endpoint:
//
//	Broker.Publish ─ queue ─ wake ─▶ endpoint ─┬─ socket: outbox worker ─ Fill ─ frames, one write
//	                                           ├─ stream: outbox worker ─ Fill ─ lines of data, one write
//	                                           └─ poll: loop's worker ─ events, replies, connect reply, one write
//
// What is promised. The one behaviour that all known clients accept, where Faye's server and CometD's differ; in particular:
//
//   - In a response events come first, then replies, the connect reply last. On a socket an event that was there before a
//     reply is sent before it, so a publisher sees its own event, then the acknowledgement.
//   - The first connect of a session, the first on a new socket, and one that shares a request with other messages are answered
//     at once; others are held for the timeout, or the shorter one the client asks for.
//   - While a stream is open it alone carries events, and connects that say so are answered at once.
//   - A web page of an origin that is not allowed gets nothing done: by no POST, socket, stream or script element.
//   - Advice is on handshake and connect replies, always complete, and nowhere else.
//   - Events are channel, data and allow-listed ext; and a timestamp, where that is switched on. Data keeps its JSON text, but on
//     channels whose rule asks for Salesforce's shape.
//   - A subscribe begins where its ext.replay says, or fails and says why. In a session whose handshake asked for it each event has
//     its position, on channels with history.
//   - A handshake is alone: what comes with it is ignored.
//   - Errors keep to the grammar that Faye's client parses: its table, and a few codes for limits. One does not: replay.go
//     says why.
//   - Messages of a session and id that are sent again within a minute are acknowledged again and published once.
//   - Each event goes to one endpoint, and stays with the session until the client has shown that it has it: by the next connect, a
//     pong, Last-Event-ID, or the number in CometD's acknowledge extension (receipt.go says which proves what). If the endpoint is lost
//     without that, it goes to the next one, in front and in order. So what was under way may come twice; with the
//     extension, and to Faye by poll, it comes once. What is kept has a bound; beyond it the oldest is taken for received, and counted.
//   - A session ends when nothing was heard of it for Interval and MaxInterval; held connects, open sockets and streams keep
//     it. A socket that answers no ping is closed, and so is a stream whose client sends no message for long.
//   - A session lasts as long as its credential, and no longer than any that one of its subscriptions needed. Then its connect is
//     answered with 401 and the advice to handshake. A newer credential of the same holder renews it.
//   - What an address or a session sends too much of is refused with a 429 and, where there may be advice, with when to come back.
//   - A clientId is the session: 160 random bits, never logged. No cookies.
//
// Who a message is from is decided per message (credential.go); what they may do is decided by the broker.
//
// A poll that has to wait gives up its request. Its connection is taken over from net/http, which would keep 30 KB for it, and the
// handler returns; when the poll is answered the connection serves on (hold.go). A next request like it is parsed by
// net/http, or is known by its head, and given to the server's handler where it came; any other goes back to the server with its connection, untouched. On Linux the
// connection of any other request is taken over likewise, when that has been answered (takeover.go). Requests
// over TLS, HTTP/2 and HTTP/1.0 keep their handlers, and so do those of a server that lets nothing be taken over. A plain socket on Linux
// is parked meanwhile, without a goroutine: the workers of package park answer, read and serve (parked.go). A next poll that is the last
// one again, but for its id, is not made into a request, if nothing in front of the handler would see a difference (alike.go); nor is that of another
// client of the same proxy, whose head was seen before (tenants.go). The sockets of
// streams are parked too, and those of WebSockets between messages (package wsread).
//
// Goroutines: one per socket, stream and held poll that cannot be parked, which reads; and one per server that
// connections are taken from, on which they go back. None of the package's own besides. Timers run on the broker's wheel.
//
// Locks, outer before inner: Handler.mu; the outbox connection, which calls Fill; session.mu; then socket.mu, stream.mu or the broker
// session's own. addresses.mu, heads.mu and tenants.mu are innermost. Publishers call session.wake, or ring the outbox connection, with a channel locked, so nothing that publishes, writes or takes Handler.mu
// happens under session.mu; a held poll is woken there by a deadline in the past. session.publishing is held over a publish and guards nothing
// but its turn, as session.replaying does over a subscribe with a replay.
//
// Files. What comes in: handler.go options and routes, envelope.go bodies to messages (plain.go the plainest), exchange.go one request or frame. A word
// of the protocol each: handshake.go, connect.go, subscribe.go (replay.go where it begins), publish.go, disconnect.go. The session and its endpoints: session.go,
// longpoll.go, hold.go (polls that wait), kind.go (what they have in common), parked.go (without a goroutine), takeover.go (connections on which no poll was held), handback.go, again.go, heads.go, alike.go and tenants.go (their connections, after), callback.go (JSONP), websocket.go (upgrade,
// reading), socket.go (what it serves), alive.go (pings and closing), eventsource.go (opening), stream.go (what it serves),
// lastevent.go (its ids), response.go (one over HTTP/2); extension.go (which compression is agreed on), inflate.go (what it changes about
// a socket). What has arrived: receipt.go (what proves it), connectids.go (which connects come again, or late), sent.go (what is unconfirmed), ack.go (CometD's acknowledge extension). What
// goes out: reply.go, timesync.go, timestamp.go, advice.go, errors.go, event.go, replayed.go (its form with positions), replayid.go
// (Salesforce's shape), deflate.go (its compressed form), frame.go, ext.go. Who is
// let in: credential.go, expiry.go (how long), activity.go (who only connects), damper.go (bad tokens), origin.go (CORS, and
// what goes without), address.go (what each has open and did), limit.go. Besides:
// script.go the client for pages, dedup.go repeated publishes, storm.go clients that cannot keep a session, shutdown.go
// taking leave, stats.go, log.go.
//
// Not here: what a session has had by another subscription, when it asks for a replay; receipts for the replies to publishes, which
// Faye's client asks for again; service channels have no
// server behind them; version numbers are not compared, as no server does. Of permessage-deflate: context takeover, other
// windows than 32 KB; and gorilla does not mind the compression bit on control and later frames, where it means nothing.
package bayeux
