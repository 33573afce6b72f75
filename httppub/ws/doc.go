// Package ws serves plain WebSockets (RFC 6455) to clients that speak no Bayeux: JSON frames to subscribe, publish and acknowledge.
//
//	GET /realm/{realm}/ws?window=100        subprotocol waft.v1
//
// docs/websocket.md is the page for those who use it.
//
// # What flows
//
//	request ─▶ origin, address, token ─▶ session ─▶ upgrade ─▶ socket
//	           400 401 403 429           429 503
//
//	frame ─▶ parseFrame ─┬─ auth ─▶ who
//	                     ├─ subscribe, unsubscribe ─▶ tasks ─▶ place.Open ─▶ subscribed, then what was missed, then live
//	                     ├─ publish ─▶ Broker.Publish ─▶ published
//	                     └─ ack ─▶ feed
//
//	Broker.Publish ─ queue ─ bell ─▶ outbox worker ─ Fill ─ feed ─▶ shared frames, one write
//
// # What is promised
//
//   - A frame with a ref gets one answer with it. A bad frame gets an error that says what is wrong; only what breaks the WebSocket protocol,
//     a frame that is too large and one that is no text end the connection, each with its own close code.
//   - A message's frame is made once for all sockets. A publisher never waits for a socket.
//   - A subscribe has a place (package place): whoever comes back with it, and with the positions of what it has seen since, gets everything
//     after that and nothing twice. What was lost is told by name. More than a session may queue is sent from the history by pages.
//   - The answer to a subscribe comes before its messages, and nothing of a channel after the answer to its unsubscribe.
//   - With a window there are never more messages on their way than it has; the rest waits, like that of any slow client, within the
//     limits of the queue. Beyond, the socket is closed, and its client comes back to the rest.
//   - A subscription ends with its rights, the connection with its credential, and both say so. A newer credential renews it.
//   - A socket that answers no ping is closed, and so is one whose client does not say who it is and does nothing.
//   - Nothing of a request stays while a socket waits.
//
// # Goroutines and locks
//
// On Linux a plain socket has no goroutine while nothing comes (package wsread); otherwise it has one that reads. It has another one while a
// subscription catches up. Timers run on the broker's wheel. Locks, outer before
// inner: the outbox connection, which calls Fill; socket.mu; the broker session's own. Handler.mu is innermost. Nothing is written under socket.mu.
//
// # Files
//
//	handler.go    options, and the request's way through; request.go the address; limit.go how much there may be of what
//	socket.go     a connection: its beginning, its reading, its end; alive.go pings and deadlines; close.go how it is closed
//	frame.go      what a client says; ack.go the quick way through it; answer.go what it is told
//	auth.go, publish.go, subscribe.go    what their names say; catchup.go a replay that is more than may be queued
//	feed.go       what is sent, and the window; form.go a message as a frame
//	shutdown.go   leave-taking; stats.go counts, and the names of ends
//
// # Deliberately not done
//
// Compression. Notices that an item was removed. Unknown types and members are refused, so that a misspelt one is not taken for an absent one.
package ws
