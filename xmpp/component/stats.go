package component

import "sync/atomic"

// Stats is a snapshot of a link's counters. They count from New and never go down, except Up, Kept, Queued and Waiting.
type Stats struct {
	Up         bool
	Connects   uint64            // handshakes acknowledged
	Failures   uint64            // attempts that ended before the acknowledgement
	StanzasIn  uint64            // top-level elements framed, refused ones included
	StanzasOut uint64            // written to the socket
	BytesIn    uint64            // read from the socket, whitespace and headers included
	BytesOut   uint64            // stanza bytes written
	Resent     uint64            // stanzas written again after a link was lost
	Unfenced   uint64            // times that the server did not answer the fence's pings
	Kept       int               // stanzas that would be written again now
	Queued     int               // bytes waiting for the writer
	Waiting    int               // Requests without an answer yet
	Dropped    map[Reason]uint64 // every reason is present, most are zero
}

// counters is updated from every goroutine.
type counters struct {
	connects, failures, stanzasIn, stanzasOut, bytesIn, bytesOut, resent, unfenced atomic.Uint64
	dropped                                                                        [numReasons]atomic.Uint64
}

// Stats returns the counters as they are now. Cheap enough for every scrape of a metrics page.
func (l *Link) Stats() Stats {
	s := Stats{
		Connects:   l.count.connects.Load(),
		Failures:   l.count.failures.Load(),
		StanzasIn:  l.count.stanzasIn.Load(),
		StanzasOut: l.count.stanzasOut.Load(),
		BytesIn:    l.count.bytesIn.Load(),
		BytesOut:   l.count.bytesOut.Load(),
		Waiting:    l.pending.len(),
		Resent:     l.count.resent.Load(),
		Unfenced:   l.count.unfenced.Load(),
		Kept:       l.queue.unproven(),
		Dropped:    make(map[Reason]uint64, numReasons-1),
	}
	s.Up, s.Queued = l.queue.state()
	for r := NotRefused + 1; r < numReasons; r++ {
		s.Dropped[r] = l.count.dropped[r].Load()
	}
	return s
}
