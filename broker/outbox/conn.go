package outbox

import (
	"net"
	"slices"
	"sync"
	"time"
)

// Conn is one connection that can be written without blocking. Its methods may be called by any goroutine.
type Conn struct {
	// What a delivery touches fills a cache line: with thousands of connections none is in a cache when its turn comes.
	shard  *shard     // static
	src    Source     // static
	fd     int32      // static: for non-blocking writes, or -1
	ready  bool       // on the shard's list, or soon; guarded by the shard
	mu     sync.Mutex // guards the rest, and every write to nc but a parked one
	parked bool       // a goroutine is writing what the socket would not take
	finish bool       // close when nothing is left
	err    error      // why it was closed, once it is

	nc   net.Conn // static
	rest []byte   // given to Write while parked

	_ [24]byte // a whole number of cache lines, which the allocator then begins at one
}

// Ready says that the Source has something. It returns at once; the shard's worker will write.
func (c *Conn) Ready() { c.shard.add(c) }

// Write sends b after what the Source has, or a good part of it if that is a lot. It does not block: what the socket does not take waits. b is not
// kept. A peer that lets more than MaxPending wait is closed, and Write fails with ErrPending.
func (c *Conn) Write(b []byte) error {
	sc := c.shard.outbox.scratch()
	defer c.shard.outbox.giveBack(sc)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.shard.count(sc)
	if more := c.fill(sc); more {
		c.Ready()
	}
	if c.err != nil {
		return c.err
	}
	if c.parked && len(c.rest)+len(b) > c.shard.outbox.opts.MaxPending {
		c.shard.stats.overflows.Add(1)
		c.close(ErrPending)
		return ErrPending
	}
	c.send(sc, b)
	return c.err
}

// Close closes the connection at once, with whatever waits.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.close(ErrClosed)
}

// Finish closes the connection when everything that was given to it has been written: at once, unless it is parked.
func (c *Conn) Finish() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parked {
		c.finish = true
		return nil
	}
	return c.close(ErrClosed)
}

// NetConn is the connection to read from.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Err is nil while the connection is open, and then why it was closed.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Conn) close(reason error) error {
	first := c.err == nil
	if !first {
		return nil
	}
	c.err, c.rest = reason, nil
	err := c.nc.Close()
	if w, ok := c.src.(CloseWatcher); ok {
		w.Closed()
	}
	return err
}

// flush is the worker's turn.
func (c *Conn) flush(sc *Scratch) {
	c.mu.Lock()
	more := c.fill(sc)
	c.mu.Unlock()
	if more {
		c.Ready()
	}
}

// fillsPerTurn keeps one session with a long queue from holding up its shard.
const fillsPerTurn = 16

// fill sends what the Source has until it has no more or the socket takes no more; mu is held. It tells whether the
// turn ended early.
func (c *Conn) fill(sc *Scratch) (more bool) {
	for range fillsPerTurn {
		if c.parked || c.err != nil {
			return false // unpark makes the connection ready again
		}
		sc.Dry = false
		b := c.src.Fill(sc)
		if len(b) == 0 {
			return false
		}
		c.send(sc, b)
		if sc.Dry {
			return false // what comes from now on is announced
		}
	}
	return true
}

// send writes b or makes it wait, and counts in sc; mu is held.
func (c *Conn) send(sc *Scratch, b []byte) {
	if c.parked {
		c.rest = append(c.rest, b...)
		return
	}
	for c.fd >= 0 && len(b) > 0 {
		n, again, err := tryWrite(int(c.fd), b)
		if err != nil {
			c.shard.stats.timeouts.Add(1)
			c.close(err)
			return
		}
		if again {
			break
		}
		sc.writes++
		sc.bytes += uint64(n)
		b = b[n:]
	}
	if len(b) > 0 {
		c.park(b)
	}
}

// park hands b to a goroutine that may block; mu is held.
func (c *Conn) park(b []byte) {
	if c.fd >= 0 {
		c.shard.stats.parks.Add(1)
	}
	c.parked = true
	c.shard.stats.parked.Add(1)
	b = slices.Clone(b)
	c.shard.outbox.done.Go(func() { c.unpark(b) })
}

// unpark writes b, then what the Source has, then the replies that came to wait, and gives the connection back to its
// shard when there is nothing left.
func (c *Conn) unpark(b []byte) {
	defer c.shard.stats.parked.Add(-1)
	for turn := 1; ; turn++ {
		c.nc.SetWriteDeadline(time.Now().Add(c.shard.outbox.opts.WriteTimeout)) // fails only on a closed connection, as Write then does
		n, err := c.nc.Write(b)
		c.shard.stats.writes.Add(1)
		c.shard.stats.bytes.Add(uint64(n))
		if b = c.next(b[:0], turn, err); len(b) == 0 {
			return
		}
	}
}

// next gives a parked connection's next bytes, or unparks it. Replies go after what the Source has, but not after more
// than a few fills: one that never ends must not hold them back for ever. They are copied to b, for a scratch is large, and is not kept
// for as long as a peer takes to read.
func (c *Conn) next(b []byte, turn int, err error) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if c.err == nil {
			c.shard.stats.timeouts.Add(1)
		}
		c.close(err)
		return nil
	}
	if c.err != nil {
		return nil
	}
	if turn%fillsPerTurn != 0 {
		sc := c.shard.outbox.scratch()
		defer c.shard.outbox.giveBack(sc)
		if more := c.src.Fill(sc); len(more) > 0 {
			return append(b, more...)
		}
	}
	if b, c.rest = c.rest, nil; len(b) > 0 {
		return b
	}
	if c.finish {
		c.close(ErrClosed)
		return nil
	}
	c.parked = false
	c.Ready() // for what came since Fill was asked
	return nil
}
