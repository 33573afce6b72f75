// Package place has what the doors for listeners (sse, ws) know of where a listener is: how that is told to it as text, and how its
// subscriptions are made anew from there.
//
//	text ─ Parse ─▶ Token ─ Options.Open ─▶ Opening ─┬─ subscriptions, with what was missed in the session's queue
//	                                                 └─ CatchUp, if that is more than may be queued: pages of history first
//	Opening.Cursor ─ Pass, for each message that is delivered ─▶ Append ─▶ text
//
// # What is promised
//
//   - Whoever comes back with a text gets everything after it, nothing twice, each channel in order.
//   - Where that cannot be kept, because the history no longer reaches back or never did, Opening.Lost names the channels, and
//     they go on live. There is no gap without it, within what is said below of wildcards.
//
// # Places in a text
//
// Channels that were asked for by name have their position in every text, so their number is limited. Those of a wildcard can be any
// number: a text has the positions of the recent ones, and for all others a time before which everything was delivered (cursor.go).
// To find out where these go on, messages are compared with that time. It rests on this:
//
//   - What is published is delivered within five seconds of the time in the message, and clocks differ by less.
//   - What has been dropped to stay within limits, or went with the process, is noticed by a stamp in the text; what grew too old is not,
//     if all of its channel did, hence Options.Window.
//   - A channel whose history no longer reaches back to that time may have lost something and is said to have.
//
// A text that would have more channels than fit says so, and the wildcards of whoever comes back with it are lost.
//
// # Files
//
//	id.go       places as text
//	cursor.go   where a stream is
//	memo.go     texts that many streams share
//	resume.go   a place → subscriptions that begin there
//	catchup.go  a replay that is more than may be queued
//
// The package starts no goroutine and has no lock: an Opening and its Cursor belong to one goroutine at a time.
package place
