// Package outbox carries what waits in sessions to their sockets with few goroutines.
//
// The path: a publish queues a message in sessions; a connection is the bell of its session (broker.Session.Rings), and those whose queue turned from empty
// to not empty are rung together: RingAll puts them on the lists of their shards, each once, with one lock for a shard. What is no publish calls Ready, which
// does that for one. Each core has one shard with one
// worker, and a connection stays on its shard. The worker first lets other goroutines run, so that publishers at
// the door get their messages in; then it takes its list, asks each connection's Source for the bytes of
// everything that waits, and writes them with one non-blocking system call; a Source that says that this was all is not asked again. No goroutine is woken per delivery,
// and a publisher never waits for a socket.
//
// With one message on its way to a thousand sockets, what waft adds to the system call is locked operations, of which each costs some fifty cycles,
// and memory that is in no cache. So what can be is done for some connections together (shard.serve), memory is asked for before it is needed (Source.Prefetch), and what a delivery touches of a structure fills
// one cache line: Conn here, broker.Session, and what a Source has of its own.
//
// A socket that takes no more parks: what is left over is written by a goroutine of its own under a deadline, and
// only that connection waits, with its session's queue bounding what piles up behind it. Connections that have
// no plain socket (TLS), and every connection on systems other than Linux, go that way always. What wraps a socket is taken for it if it says so (park.Wrapper).
//
// Promises: bytes of one connection leave in the order in which they were given; a connection that takes nothing for
// WriteTimeout, or lets MaxPending bytes of replies pile up, is closed. Its reader sees that as a read error, or, if it is parked and
// no goroutine reads, is rung by its Source (CloseWatcher): that is the one place where an adapter cleans up.
//
// Locks: shard.turn, Conn.mu, shard.mu and the locks of package park, outer first. The worker has turn while it serves some connections; it is
// for Stats, which would miss what has been written and not been counted. Under Conn.mu the Source is called (which takes a session's lock) and
// non-blocking system calls are made, never blocking ones.
//
// Files: outbox.go the shards, conn.go a connection, ring.go how many are woken, response.go an HTTP response as one, plug.go what a WebSocket library
// gets for one, scratch.go memory shared between the connections of a shard,
// write_linux.go and write_other.go the system call.
//
// Not here: framing (a Source knows its protocol; wsframe has what WebSockets share), reading (package park has the sockets of long polls, that read
// and write in turn, and of streams, on which nothing is to come; wsread reads WebSockets), reconnecting.
package outbox
