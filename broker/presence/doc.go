// Package presence tells on a channel of its own who subscribes to a channel and who leaves it: for "/chat/42" that is
// "/chat/42/presence", in the realms and for the patterns that ask for it.
//
// # What flows
//
//	broker's events ─ Observe: this channel has changed ─ timer ─▶ the one who tells ─┬─ Broker.Readers: who is there now
//	                                                                                  ├─ less who was told of before
//	                                                                                  └─ Broker.Publish
//
// An event says no more than "look here", so nothing is counted twice or forgotten, however many there are and in whatever
// order they come. Who is there is read from the broker's own lists, once for each interval in which something changed.
//
// # What is promised
//
//   - At most one message for each channel and interval; ten thousand who come at once are one message, up to an interval later.
//   - Present is who is subscribed to the channel by its name. A subscription to a pattern is nobody's presence in its channels.
//   - A subject is there once, however many of its sessions are: it joins with the first and leaves with the last. Sessions
//     without a subject are counted. No session id, clientId or address is ever told.
//   - Who is back within the grace has never left. That holds for the number of those without a subject too.
//   - Who subscribes to the presence channel is told who is there within an interval, in a message that all its subscribers get.
//   - What a message leaves out for its length it counts. A message that could not be published is told with the next one.
//   - Nobody else publishes to a presence channel: Authorizer refuses it, for every door. Who may hear it the rules say, as for
//     any channel.
//   - Whoever subscribes waits for nothing but a short lock. Without a Tracker nothing runs, with one that has nothing to
//     tell neither.
//   - When the server stops nobody is said to leave.
//
// # Files
//
// tracker.go what is observed and when it is told; room.go one channel: who is there and what has been told of it; message.go
// the text; guard.go whose channels these are; stats.go.
//
// # Locks
//
// Tracker.mu is taken under the broker's locks and takes none but the wheel's. One goroutine at a time tells, of one room after the
// other, without it; what a room knows of its members is that goroutine's alone.
//
// # Not here
//
// Other processes: each tells of its own. Lists of everybody, which grow with the channel: a message names some hundred.
package presence
