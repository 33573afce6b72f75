package bayeux

import (
	"strconv"
	"time"

	"waft/broker"
)

// Each event on a stream has an id: how many messages its session had been sent, with it. A browser that opens a lost stream
// again says by itself which was the last that it got, in the header Last-Event-ID; what came after is sent again, and
// nothing twice. Nothing else tells: a browser does not answer on a stream, and the connects of its page travel on
// connections of their own. (WHATWG HTML §9.2.4)

// appendNumbered is append with ids; number is that of the first of ds.
func (f lineForm) appendNumbered(dst []byte, ds []broker.Delivery, number uint64) []byte {
	for i, d := range ds {
		if frame, err := d.Message.Encoded(f.frames); err == nil {
			dst = append(dst, "id: "...)
			dst = strconv.AppendUint(dst, number+uint64(i)+1, 10)
			dst = append(dst, '\n')
			dst = appendData(dst, frame)
		}
	}
	return dst
}

// arrived takes the id of the last event that the client got. One that was never given says nothing.
func (s *session) arrived(lastEventID string) {
	n, err := strconv.ParseUint(lastEventID, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= s.sent.next() {
		s.sent.popTo(n)
	}
}

// keptOnStream is how long an event on an open stream is kept at least, and not longer than twice that and a comment's
// pace: by then its browser has noticed that the connection is dead, or does not look any more.
const keptOnStream = time.Minute

// age lets go of what has been on the stream for long. Only check calls it.
func (st *stream) age() {
	now := st.h.now()
	if time.Duration(now-st.agingAt) < keptOnStream {
		return
	}
	s := st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint == st {
		st.h.counters.assumed[AssumedAge].Add(uint64(s.sent.popTo(st.aging)))
		st.aging, st.agingAt = s.sent.next(), now
	}
}
