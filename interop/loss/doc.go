// Package loss judges a broker from outside: what was acknowledged to publishers against what readers were handed.
//
//	publishers ── Send, Acknowledge ──▶ Ledger ◀── Take, Break, Gap, Told ── readers
//	                                      │ ◀── Slow ── whoever slows the disk down
//	                                   Judge ──▶ Verdict: a table, JSON, an error
//
// It knows no protocol and opens no connection. interop/loss_test.go has the publishers, the readers and those who do harm
// (`make loss`); lossmutant_test.go there shows that a broken broker is found out.
//
// # What is judged
//
// Every message has a Key: its channel, its publisher, the publisher's count. Times are those of one clock that goes on with each call, so
// that "acknowledged before the other was sent" is a fact and not a measurement.
//
//   - Lost: acknowledged, or handed to some other reader, and never handed to this one. A publish without an answer may have been
//     stored or not; but what one reader has seen has happened for all. A reader whose Terms say MayMiss has missed it instead, if it had a
//     Break or a Gap between the sending of the message and the next one that came to it.
//   - Repeated: handed over again. In excess, if the terms do not allow that: Again allows once more for each Break since the
//     message was sent. Always in excess if the identity (an item's id, or a position) is another.
//   - Reordered: handed over behind a message of its channel that was sent only after this one had been acknowledged; or in another
//     order than to the reader that has most of the channel. First copies count.
//   - Told: the reader could not resume, and was told so.
//   - Strange: nobody has sent it.
//   - Early: acknowledged in less time than storing took just then (Slow), so that the answer cannot have meant that it was stored. What
//     SIGKILL does not show, because the kernel keeps what was written and not forced to the disk, this does.
//
// A channel ends with its Last message: what comes behind it is passed over, so that every reader is judged by the same messages.
//
// # Files
//
// ledger.go notes, slow.go notes when storing takes long, reader.go notes what one reader is handed, judge.go compares, table.go shows.
package loss
