// Package httppub is waft's door for plain HTTP: an http.Handler that takes publications, New, and one that answers what a
// realm keeps and who is there, NewReader.
//
//	POST /realm/{realm}/publish/             {"items":[{"channel":"news","id":"7","json-object":{"n":1}}]}
//	POST /realm/{realm}/publish/{channel}/   {"items":[{"json-object":{"n":1}}]}
//
//	GET    /realm/{realm}/channels/{channel}/messages?since=&before=&limit=&order=&wait=
//	DELETE /realm/{realm}/channels/{channel}/messages/{id}
//	GET    /realm/{realm}/channels/   …/channels/{channel}/   …/sessions/   …/usage
//	DELETE /realm/{realm}/sessions/{label}
//
//	GET    /openapi.json
//
// docs/http.md is the page for those who use them. openapi.json is the same for programs, served by a Document: what these handlers and
// those below this package answer is what it says, and all that it says is answered; their tests fail otherwise (openapitest).
//
// It speaks the publish API of Fanout Cloud and of Pushpin (EPCP), so that their client libraries work unmodified.
//
// # What flows in
//
//	bytes ─▶ path ─▶ realm ─▶ address ─▶ credentials ─▶ body ─▶ items ─▶ Broker.Accept ─▶ rates ─▶ key ─▶ order ─▶ commit ─▶ answer
//	         400     404      429        401            400     400      401 403 413      429      422                503        200
//	         404                 429                    408
//	         405                                        413
//	                                                    415
//
// Up to the rates nothing of a request counts, and up to the order nothing of it has happened: what is refused is free. From then on
// nothing is refused. What a realm's publishers have in common, their rates, the order of items and the keys of requests, is its Intake.
//
// A bulk load (NDJSON) goes the same way line by line, and does not end at the first that is refused. Only the last step is for all lines
// that had arrived, so that they wait for the disk together. It is read no faster than its answers are, and where another request is
// refused for its rate, it waits: so it takes as much memory as a group and one line, however long it is.
//
// The realm is looked up before the credential is: its keys are what a token is held against. A 404 therefore tells
// anybody which realms exist, and that is meant: a realm's id stands in the address of everything it serves, and a
// subscriber without credentials can ask for those addresses as well. What a realm's rules and keys are is told to nobody.
//
// # What flows out
//
//	path ─▶ resource ─▶ method ─▶ credentials ─▶ query ─▶ Broker.History, ListChannels, … ─▶ page ─▶ ETag, 304 or 200
//	        404 400     405       401 429        400      401 403 404 410 429
//
// A Reader is one realm's. A request that waits (poll.go) holds a session which only wakes it: what it answers is read from the history,
// as any other page.
//
// # What is promised
//
//   - A batch is published whole or, where an item, its authorization or a rate is at fault, not at all. Only an engine that
//     fails half-way leaves a part: the answer is then 503 and carries the receipts of the part that is stored. Repeating
//     such a request is safe where the items have ids, or the request has an Idempotency-Key.
//   - What is answered with a position is stored. An item that waits for the one that it follows (prev-id) is answered without one, and with
//     202, because it is in memory alone; a client that wants more says wait=stored. It is published after the one that it names, if that
//     comes in time, or else late, but it is: unless the engine fails or the process does.
//   - An Idempotency-Key makes a request one thing that is done once. Its items get idempotency keys of the engine's, made of it, so that this
//     is as true as the engine's promise: through a crash in the middle, where it keeps keys on disk. Only whether the key comes with
//     another body is known from memory; where that is forgotten, the other body is published.
//   - An item's id names it in its channel's history and is its idempotency key there: repeated within the engine's
//     window it is stored and delivered once, and later it takes the place of the earlier item.
//   - The JSON text that went in comes out. Only white space between the tokens is removed.
//   - No request is ever redirected: the clients of Ruby and PHP fail on a redirected POST. Several clients write
//     "//publish/" when their base address ends in a slash; that address is served as it is.
//   - A refusal is one plain sentence that names what was wrong: the client libraries show it to people as it comes.
//     JSON (with a code, and receipts after a success) is for those whose Accept header names application/json.
//   - A page of messages has no gap behind the position that was asked for; where there would be one the answer is 410. Who
//     goes on from each answer's position misses nothing and gets nothing twice, whether or not the requests wait.
//   - An address names one thing. A channel is one part of it, and whatever it is called it is not taken for anything else.
//   - An answer that is public is one that anybody may have, and one that may be used unasked is one to which nothing
//     will be added.
//   - No request is held for longer than its time, its client, its credential and its server last.
//
// # Reading an item
//
// A format is a payload for one kind of transport. json-object is the message for Bayeux, XMPP and their like, of any
// JSON type; fpp is its older name. http-stream, http-response, ws-message, http-request and xmpp-stanza are kept as they
// were written, for the transports they are meant for. Formats stand at the item's top level (older clients) or under
// "formats" (newer ones). If both have some, all count, and a format in both places is read from "formats": nothing that
// somebody took the trouble to write is lost without a word. json-object wins over fpp, wherever the two stand.
//
// An item needs a channel (unless the address names it; if both do, they must agree) and at least one known format. id is
// a string, and so is prev-id; an empty one is none. Unknown fields are ignored, because real clients leak some ("exports":{}). meta
// is ignored too: filters belong to transports that do not exist yet. A known field that occurs twice in one object is an error: two
// parsers on the way may differ about which counts, and one of the two was meant. In a message that is the publisher's business.
//
// # Files
//
//	handler.go      options, and the request's way through
//	path.go         addresses, matched in their escaped form
//	credentials.go  Authorization header → principal
//	manner.go       headers and query that say how to publish; keys.go the Idempotency-Key
//	body.go         bytes → JSON, within the limit; gunzip.go from packed ones
//	items.go        JSON → publications
//	publish.go      publications → receipts
//	bulk.go         a bulk load; lines.go bytes → lines; group.go lines that are stored together
//
//	intake.go       what a realm's publishers have in common: rates.go how much they may; order.go which items wait, and
//	                release.go how they end to; intakestats.go counts
//
//	answer.go       receipts or an error → the response, as text or JSON
//	errors.go       the one table from error kinds to status codes
//
//	reader.go       options of the other handler, and the request's way through
//	resource.go     addresses; query.go what stands behind the question mark
//	messages.go     a page of a history; json.go a message in it; cache.go what caches are told
//	poll.go         requests that wait; held.go how many may; limits.go the limits that can be changed
//	channels.go, sessions.go, usage.go    what their names say
//	origins.go      whose pages' scripts may read
//	openapi.go      the document openapi.json, and its handler
//	shared.go       what the doors below this package need of it; guests.go how many they let in, and how
//	                they send them away; refusal.go why somebody is not let in
//	readerstats.go  counts
//
// The one goroutine that the package starts publishes the items of a channel whose turn has come, and ends with the last of them. held,
// Guests, rates, order and keys have a lock each, under which nothing is called.
//
// # Deliberately not done
//
// Addresses for the ids "." and "..", which clients take for something else. Purging a history: items are removed one by one.
// JSON-P: a page of another origin is listed, or cannot read. Compressing answers: that is the proxy's.
//
// Publishing from a page of another origin: OPTIONS is answered with 405, so that a browser sends no token. (The plain
// POST that it sends without asking has no credential, and can do what the rules let anybody do.)
// Other compression than gzip: 415. Basic credentials: a realm has keys and no passwords, and the answer says so. A content type is
// not asked for, and looked at only for whether it is that of a bulk load: everything that is posted here is JSON or wrong.
//
// Remembering answers for an Idempotency-Key: the engine's receipts say the same. An order across doors: what is published over another
// protocol has no prev-id, and its ids are not looked up.
package httppub
