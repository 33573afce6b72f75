// Package sse serves Server-Sent Events (WHATWG HTML §9.2): whoever can make one GET request hears any number of channels, and
// comes back after every interruption as if there had been none.
//
//	GET /realm/{realm}/events?channel=/a&channel=/b/**
//
// # What flows
//
//	address ─▶ channels, id, token ─▶ Session.SubscribeAll ─▶ head ─▶ reset? ready ─▶ what was missed ─▶ outbox ─▶ live
//	400 405    400 401 403            403 429 503              200                     CatchUp, if it is much
//	414                        429
//
// Everything that can be refused is, before the response begins: an EventSource gives up for good at a status that is not 200,
// and comes back after anything else.
//
// # What is promised
//
//   - The id of an event is the place of the whole stream, in every channel that was asked for and in every one of a wildcard. A client
//     that comes back with it (Last-Event-ID, which an EventSource sends by itself) gets everything after it, nothing twice, each
//     channel in order, wherever the connection was cut.
//   - Where that cannot be kept, because the history no longer reaches back or never did, an event called reset names the channels, and
//     they go on live. There is no gap without it, within what package place says of wildcards.
//   - A message's event is made once for all streams of a form; where a stream has one channel, with its id. Else the id is put in front,
//     and made once for the streams of a processor that are at the same places (place.Memo).
//   - A publisher never waits for a stream. One that takes less than is published is ended when its queue is full, and its client comes
//     back to the rest. So does one with more to replay than a queue holds: that is written from the history by pages.
//   - A stream ends with its credential and with its rights, and says why in an event called end.
//   - Nothing of a request stays while a stream waits: a session and a subscription, some 2 KB. On Linux a plain socket is parked (package
//     park); over TLS and HTTP/2, and elsewhere, a goroutine reads.
//
// What an id says, and what that rests on, is in package place.
//
// # Locks
//
// A stream's cursor belongs to the goroutine that opens its stream, and from attach on to Fill, which the outbox calls under the
// connection's lock. A connection that is closed rings its parked stream under that lock, and a worker takes the stream down. Handler.mu and stream.mu are innermost; stream.mu is held while the wheel and the outbox's ready list are touched.
//
// # Files
//
//	handler.go     options, and the request's way through
//	request.go     the address
//	origin.go      web pages that may listen
//	limit.go       how many streams there may be
//	resume.go      an id → a session with its subscriptions, and what is missed until there
//	respond.go     the head and the first events
//	stream.go      a stream that runs
//	form.go        a message as an event
//	shutdown.go    leave-taking
//	stats.go       counts, and the names of refusals and ends
//
// # Deliberately not done
//
// Compression: it would have to be flushed for every event. Event names of the publisher's choice, and the payloads meant for
// http-stream. Notices that an item was removed. Unknown parameters are refused, so that a misspelt one is not taken for an absent one.
package sse
