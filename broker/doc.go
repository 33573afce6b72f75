// Package broker is the model that every protocol of waft adapts: one broker per realm, channels that messages are
// published to, sessions with one bounded queue each, and subscriptions that name a channel or a pattern of
// channels. It knows no protocol and imports nothing but the standard library.
//
// # The path of a message
//
//	Broker.Publish     check the text, ask the Authorizer, stamp id and time            publish.go
//	Engine.Publish     idempotency, position, history, relay to other processes         engine.go, memory.go
//	Broker.deliver     channel → n+2 patterns → snapshots of subscription lists         deliver.go, index.go
//	Session.enqueue    bounded, never blocks                                            session.go, queue.go
//	Bell.RingAll       for those that had nothing waiting, together; else Wake for each bell.go
//	Session.Drain      or Receive, on the reader's side
//	Message.Encoded    once for each wire form, shared by every session                 message.go
//
// # What is promised
//
//   - Order: all readers see the messages of a channel in one order, that of their offsets.
//   - A message is immutable once published, and its JSON text goes out as it came in, compacted.
//   - A publisher never waits for a reader. Publish returns when the engine has stored the message.
//   - A session's queue gets a message once, however many of its subscriptions match.
//   - Acknowledged means stored, as durably as the engine says. A reader that resumes inside the history misses
//     nothing and sees each message once per position; one that cannot is told HistoryLost. A reader without
//     history is given each message once; what its adapter could not bring to it comes again if it is given back (Session.Return).
//   - A subscription ends with the credential that granted it, unless it needs none.
//   - One question to the Authorizer for each right an operation uses, before anything is changed.
//   - Every queue, list and map a stranger can grow has a limit, and every delivery lost has a LostReason.
//
// # Replay
//
// A subscription can begin with what was published before: behind a position, with the newest few, or with all that is
// kept; a wildcard likewise, and with a position for each of its channels. First it is entered into the index with a
// hold on it; then the histories are read, of a wildcard those of every channel that has one; then what was read and what was
// held are woven together by offset, channel by channel, queued, and the hold taken off: one step under the session's
// lock. Nothing can fall between history and live, and a channel that begins meanwhile is in the hold from its first
// message on. Several subscriptions made together share the hold: all or none (subscribe.go, readback.go, weave.go,
// replay.go). A session has one replay at a time. It asks for ActRead, for positions too: they are text that can be made up.
//
// A replay that would be incomplete is refused: HistoryLost names the channel, and a wildcard over channels whose rules
// keep no history is Invalid. What a session cannot queue, or has more than Options.MaxReplayChannels, is TooLarge.
//
// # Locks
//
// Outermost first: a channel's lock in the engine, a shard of the index, a session. The index is only locked to take a
// snapshot or to change a list; no lock of it is held while a session is called. Nothing is called while a session's
// lock is held. Authorizer, Wake, Bell, OnEvent and Retention must not call the broker.
//
// # Further files
//
// channel.go and pattern.go are the grammar of names and the algebra of patterns, patterns.go a set of them; position.go and number.go places in a history, as text and as a number;
// principal.go who asks and who answers; manage.go and census.go sessions and channels for those who manage; errors.go the closed set of kinds; json.go and jsontext.go the check of payloads; wheel.go
// the shared timers; lapse.go the end of what a credential granted; rate.go how often something may happen, tallies.go for many; damper.go how many bad credentials of an address are looked at, network.go what is an address; audience.go who is subscribed, subset.go to what a session is; kept.go what the engine keeps; stats.go counts, events and the names of losses; memorylog.go one channel of the memory engine;
// memorystore.go small records. brokertest holds the suite that every Engine must pass, outbox takes sessions to sockets,
// presence tells who comes and goes, and disk is the engine whose histories outlive the process.
//
// # Not here
//
// Wire formats, credentials and rules (package auth), affiliations (package xmpp), and retries of any kind.
package broker
