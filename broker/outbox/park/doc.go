// Package park waits for sockets on which nothing happens for long, with few goroutines and none for each.
//
// A goroutine that reads keeps two kilobytes of stack, and to wake it costs more than the read. A parked socket has neither: its
// owner gives it to a Lot, and is called when there is something to read, when the peer has gone, or when somebody rings. It reads
// and writes then without blocking, and goes. Linux only, and plain sockets only, or what wraps one and has nothing to add any more (Wrapper): elsewhere
// Park says ErrNotPlain, and the owner waits in its own way.
//
// The path. Each core has one loop, and a socket stays on its loop: an epoll set, a goroutine that waits for the set, and
// a worker that runs a list. The set is waited for through the runtime's own poller, in which an epoll descriptor can be
// waited for like any other, so no thread is blocked in a system call. Sockets are entered once, edge-triggered, for as long as they are
// parked; so a request costs no change of the set.
//
// Promises, and how they are kept:
//
//   - Owner.Run is called by one goroutine at a time for a socket, and again after whatever came while it ran. What only Run touches needs
//     no lock. Ring returns at once, and may be called under any lock.
//   - A socket cannot be mistaken for another that was given its descriptor. The net.Conn stays whole and in the runtime's poller,
//     every system call is made through its RawConn, which keeps the descriptor from being closed meanwhile; and an event of the set names
//     a place in the loop's table and the generation of who sits there, not a descriptor. So anybody may close the net.Conn at any
//     time, as always; the owner learns of it only if it is rung. A socket that was taken (Take) has no net.Conn, and its descriptor is its own: own.go
//     says who may use it, and when it is closed.
//   - An owner that may have to wait in Run says so (Worker.Away), and holds up nobody: another worker runs the list. Or it has Run return false,
//     to go on in a goroutine of its own. One that blocks without a word holds up the others for some twenty milliseconds: then its loop gets another worker.
//
// An End is the owner of a socket that is watched for nothing but its end.
//
// The price of leaving the net.Conn in the runtime's poller is an event there for each one here, which finds nobody waiting, and memory. A socket that is
// taken does not pay it, nor one that is written to for which there is no room: it is told when there is some (Writable), so no goroutine has to write.
//
// Locks: loop.mu and table.mu are innermost, and nothing is called under them but, to cut a connection off, the system.
//
// Files: lot.go the loops and their workers, worker.go what a worker reads and writes with, socket.go one socket, plain.go which are, own.go one without a net.Conn, end.go one on which nothing is to come, table.go who sits where, poll_linux.go the system calls, poll_other.go
// what there is without them.
//
// Not here: deadlines (owners have the broker's wheel, and ring), TLS, buffering, and what is read.
package park
