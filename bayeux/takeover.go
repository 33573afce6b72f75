package bayeux

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A client that long-polls has a second connection, for all that is no poll, on which hardly anything happens; and net/http keeps six times what
// it needs while it waits there for a next request. So a connection on which a Bayeux request was answered is taken over as well, and parked. It
// is then where one is whose poll has been answered, and what comes next is served there or goes back to net/http, as it does after a poll.
//
// The response is net/http's own, and has been written before. What would go back again and again is left alone: connections of
// servers on which none could be parked, and those that went back once, as those do that a proxy shares out among all kinds of requests.

// largeHead is the size from which a head that has not ended is the server's to judge.
const largeHead = 4 << 10

// partWithin is how long the rest of a request is waited for. Then it is the server's, which has limits for that.
const partWithin = time.Second

// takeOver takes the connection of r over, which has been answered, to wait there for a next request; if that can be.
func (x *exchange) takeOver(w http.ResponseWriter, r *http.Request) {
	h, header := x.h, w.Header()
	switch {
	case len(x.waiting) == 0 && slices.ContainsFunc(x.messages, x.mayBeAll):
		return
	case !unworn(w) || header["Connection"] != nil || header["Content-Encoding"] != nil:
		return
	case r.Close || r.TransferEncoding != nil || h.returnees.has(r.RemoteAddr) || !h.parks(r):
		return
	}
	c, ahead := h.seize(w, r)
	if c == nil {
		return
	}
	c.isOf(x.peer.address)
	c.isNow(h, kind{host: r.Host, door: door(r.RequestURI)})
	if !c.park(c.back.idleTimeout()) {
		c.back.worn.Store(true)
		go c.back.give(c.nc, ahead) // it may have to wait for the server
		return
	}
	if len(ahead) > 0 {
		c.part, c.early, c.more = ahead, true, true
	}
	h.mu.Lock()
	h.held[c] = struct{}{}
	h.mu.Unlock()
	c.rests(h.now())
	c.socket.Done()
}

// mayBeAll tells whether m may be all that its connection is for: a client comes or goes, or publishes and has never connected.
func (x *exchange) mayBeAll(m message) bool {
	switch {
	case m.channel == "/meta/handshake" || m.channel == "/meta/disconnect":
		return true
	case strings.HasPrefix(m.channel, "/meta/"):
		return false
	}
	s := x.h.session(m.clientID)
	return s != nil && !s.hasConnected()
}

func (s *session) hasConnected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected
}

// parks tells whether the connections of r's server can be parked, as far as that is known.
func (h *Handler) parks(r *http.Request) bool {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil || server.ConnContext != nil {
		return false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	b := h.handbacks[server]
	return b == nil || !b.worn.Load()
}

// unworn tells whether w is net/http's own, so that what was written to it is on its way.
func unworn(w http.ResponseWriter) bool {
	_, own := w.(interface{ EnableFullDuplex() error })
	_, wraps := w.(interface{ Unwrap() http.ResponseWriter })
	return own && !wraps
}

// expects keeps the beginning of a request until the rest of it comes. Whoever stops waits for that.
func (c *heldPoll) expects(raw []byte) {
	if c.part == nil {
		c.idle.Store(false)
		c.waits(c.back.h.now(), partWithin)
		raw = slices.Clone(raw)
	}
	c.part = raw
	if c.more {
		c.socket.Ring()
	}
}

// join puts what was read behind what there is.
func (c *heldPoll) join(read []byte) []byte {
	if c.part == nil {
		return read
	}
	return append(c.part, read...)
}

// late ends the wait for a next request, or for the rest of one.
func (c *heldPoll) late() {
	if c.part == nil {
		c.end()
		return
	}
	c.returns(c.part)
}

// returnees are the connections that went back to their server, by the clients' addresses.
type returnees struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

const maxReturnees = 4096

func (t *returnees) has(from string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.known[from]
	return ok
}

func (t *returnees) add(from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxReturnees { // all anew: those that are left go back once more
		t.known = map[string]struct{}{}
	}
	t.known[from] = struct{}{}
}
