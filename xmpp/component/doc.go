// Package component is an XEP-0114 link: one external component, connected to its XMPP server and kept connected. It
// carries stanzas and knows nothing of what is in them.
//
// # What flows
//
//	          read goroutine (Run)                                    writer goroutine
//	socket ─▶ framer ─▶ parser ─▶ Stanza ─┬─▶ Handler       Send ─┐
//	          limits    tree              └─▶ Request    Request ─┼─▶ queue ─▶ one write per 64 KiB ─▶ socket
//	          by bytes                                       ping ─┘   bounded
//
// Make a [Link] with [New], give it a goroutine with [Link.Run], and send with [Link.Send] and [Link.Request]:
//
//	link, err := component.New(component.Options{
//		Domain: "waft.example.org", Server: "127.0.0.1:5347", Secret: secret,
//		Handler: func(s *component.Stanza) { inbox <- s },
//	})
//	…
//	err = link.Run(ctx)
//
// An event for many recipients is rendered once: link.Send(before, to, after). Text from outside goes through
// [AppendText] and [AppendAttr]. [Check] tells a test whether a rendered stanza would be accepted.
//
// # What is promised
//
//   - No stanza of any user ends the link. A top-level element is cut out of the stream by its bytes alone; whatever is
//     wrong inside is that element's affair. It arrives whole, or refused with its head, or is dropped and counted.
//     Only the server can end the link: a stream error, the closing tag, bytes that cannot be cut, silence.
//   - What arrives is bounded: in bytes, depth, elements, attributes and their size. An element beyond a limit is
//     followed to its end without being kept.
//   - Send never blocks; the queue is bounded in bytes. Order is kept. Send returning nil means queued, no more:
//     XEP-0114 has no acknowledgements, and what was queued or in flight when a link dies is lost, the
//     former counted as OutLost.
//   - SendKept is for what is worth sending twice. Pings stand between such stanzas, and what has no answered ping behind it
//     when a link dies is written again on the next, before anything else. No more than FenceWindow stanzas and
//     MaxOutbound bytes are in doubt at any time; beyond it SendKept returns ErrFull.
//   - Nothing is written before the server's acknowledgement but the header and the digest.
//   - Every step has a deadline: dial, handshake, each write, each Request, silence, goodbye.
//   - A lost link comes back by itself. Waits are random and grow to ReconnectMax. What a person must mend
//     (not-authorized, host-unknown…) and conflict, where another process owns the domain, are tried slowly and
//     logged as errors with a remedy.
//   - Requests that wait when the link dies are released at once.
//   - Every loss has a [Reason], a counter, and a log line (at most one for each reason in ten seconds).
//   - The secret is in no log and no error.
//
// # The callbacks
//
// Up, Handler and Down run on the goroutine of Run, in this order, so they never overlap: Up once per link, then Handler
// for each stanza, then Down. Writable runs on any of the link's goroutines. None may block. All may call Send.
//
// # Files
//
//	options.go    what can be set, and the defaults
//	link.go       Link: run, reconnect, back-off, Send
//	connect.go    dial and handshake
//	session.go    one acknowledged connection: read loop, from frame to handler
//	alive.go      silence, ping
//	write.go      the writer, and the goodbye
//	queue.go      what waits for the writer
//	window.go     what the server is not proven to have read
//	request.go    iq get and set of our own, and their answers
//	framer.go     bytes → top-level elements; what is kept of them
//	lex.go        where tags, values and sections begin and end
//	head.go       what is known of an element that is not kept
//	parse.go      one element's bytes → tree
//	element.go, stanza.go      the tree, and the stanza around it
//	escape.go, check.go        for those who render stanzas
//	foreign.go                 for those who get one from elsewhere
//	errors.go, reason.go, stats.go
//
// # Locks
//
// Three mutexes, none held while another is taken or while a callback runs: queue.mu, pending.mu, session.mu. The
// framer and the parser have none; they belong to the read goroutine.
//
// # Deliberately not done
//
//   - TLS: neither Prosody nor ejabberd offers it on a component port. Keep the link on loopback or in a tunnel (Dial).
//   - Following see-other-host. The address and the secret were configured together; proving the secret to a host that
//     somebody names over a link without authentication would hand it to guessing.
//   - Keeping everything. Answers are for somebody who waits, and a request of ours is answered or failed.
//   - Comments and processing instructions (RFC 6120 §11.1): a stanza with one is refused. A document type ends the link.
//   - Checking what is sent. It costs more than sending; Check exists for tests.
package component
