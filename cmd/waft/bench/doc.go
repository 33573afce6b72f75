// Package bench loads a server with subscribers and messages, and says what it did and what that cost. It knows waft from
// the outside alone, as any client would, and other servers as well.
//
// # What flows
//
//	             Run ── assignment, mark, report (JSON on stdin) ──▶ worker ──▶ fleet: connections to the server
//	pace ─▶ publisher ─▶ server ─▶ … ─▶ protocol ─▶ stamp ─▶ track, tally
//	flight ◀──────── done, tally (JSON on stdout) ────────────────── worker
//
// A component's link belongs to one worker, which is also told what publishers say on it, and tells what is answered.
//
// Every message carries a stamp: who sent it as which message of which channel, and when it was meant to be sent. So a
// subscriber finds out by itself what was lost, repeated, overtaken or late; only completions and, in the end, counts go
// back. Which message goes where is a matter of arithmetic (plan), known to all.
//
// Publishers are in the process of Run. Subscribers are in worker processes, by default as few as descriptors allow: each
// has one goroutine that reads all its sockets (Linux, without TLS; elsewhere, and for XMPP, each connection has one), takes the lock of
// its fleet once for up to 256 of them, and allocates nothing for a delivery. Still, it is a program that takes part: the
// report says how busy it was, and when its busiest process is near one core, that was measured and not the server.
//
// # What is promised
//
// Latency counts from when a message was due, in an open loop (pace). Losses, repeats and disorder are counted exactly, but for
// what a subscriber lost in more than 256 separate places. Histograms are merged, never averaged. The report's JSON keeps its shape.
// Nothing here listens, but where an XMPP server's part is played: there until the one component has come.
//
// # Files
//
//	options.go, target.go    what to measure, and at which server; presets of kinds of servers
//	run.go, report.go        the stages of a run; what comes out
//	pace.go, flight.go       when to publish; what is on its way
//	publisher.go, voice.go   REST and Bayeux; XMPP
//	crew.go, worker.go       the processes, and what they tell each other
//	fleet.go                 subscribers; loop_linux.go, loop_other.go: how they are read
//	dial.go, protocol.go     how each kind of subscriber opens its connection, and what it makes of what arrives
//	plain.go                 the same for waft's own WebSockets
//	component.go, jid.go     the part of an XMPP server: its link, its users
//	frame.go, http.go, stanzas.go   WebSocket frames, HTTP responses and stanzas, piece by piece
//	stamp.go, plan.go        what a message says about itself; which goes where
//	track.go, tally.go, latency.go   what is counted
//	usage.go                 processor time and memory, from /proc
//
// # Locks
//
// fleet.mu is over all that subscribers are, while what has arrived is taken in; under it a protocol may write the few bytes that a
// server waits for, which does not block (on a component's link, at most until a deadline). flight.mu is over what is on its way. Neither is held while the other is taken.
//
// # Deliberately not done
//
// A real XMPP server between waft and its users: that would be measured. Compression, which would measure the client. Clocks of several machines: all is on one, and the wall clock must not be set meanwhile.
package bench
