package bayeux

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// EventSource is Faye's own: the page opens GET <mount>/<clientId>, which brings the events, and posts everything else. Its
// connects are answered at once and say only that it is still there. (WHATWG HTML §9.2, "server-sent events")

// isStream tells whether the request is for a stream of events.
func isStream(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.Header.Get("Accept")), eventStream)
}

const eventStream = "text/event-stream"

// serveStream opens the stream of a session. The clientId is the last segment of the path; Faye's client up to 1.1
// repeats it. One that is not known gets nothing made for it: the browser gives up, and the client finds out by its next
// connect that it has to begin anew.
func (h *Handler) serveStream(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		h.counters.refuse(RefusedDraining)
		refuse(w, http.StatusServiceUnavailable, "the server is stopping")
		return
	}
	s := h.session(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	if s == nil {
		h.counters.refuse(RefusedClient)
		refuse(w, http.StatusNotFound, "there is no such session")
		return
	}
	if s.ack != nil { // the handshake did not offer it
		h.counters.refuse(RefusedMalformed)
		refuse(w, http.StatusBadRequest, "a session with the acknowledge extension has its events with connects, and no stream")
		return
	}
	s.arrived(r.Header.Get("Last-Event-ID"))
	header := w.Header()
	header.Set("Content-Type", eventStream)
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	header.Set("X-Accel-Buffering", "no") // nginx would keep the events until it has some kilobytes of them
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2, or a handler in between
		h.streamResponse(w, r, s)
		return
	}
	if err := writeStreamHead(nc, header); err != nil {
		_ = nc.Close()
		return
	}
	if st := h.openStream(nc, s, h.clientAddress(r)); st != nil {
		st.wait() // and nothing of the request stays behind
	}
}

// writeStreamHead writes the head of a response that ends with its connection, and the stream's first line.
func writeStreamHead(nc net.Conn, header http.Header) error {
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	b.WriteString(retryLine())
	_ = nc.SetWriteDeadline(time.Now().Add(writeWithin)) // the outbox sets its own
	_, err := nc.Write(b.Bytes())
	return err
}

// retryLine tells the browser how many milliseconds to wait before it opens a lost stream again: around five seconds, as
// Faye's server has it, and not the same for all, who lose theirs together when the server stops.
func retryLine() string {
	return fmt.Sprintf("retry: %d\n\n", 4000+rand.N(2000)) //nolint:gosec // G404: it spreads clients and protects nothing
}

// heartbeat answers a connect of a client that listens to a stream: at once, without events, which must not overtake
// those on the stream.
func (x *exchange) heartbeat(s *session, m *message) {
	s.mu.Lock()
	s.connected = true
	s.mu.Unlock()
	x.waiting = append(x.waiting, waiting{asked: asked{s: s, id: keep(m.id), sync: x.h.timeAsked(m)}, outcome: streaming})
}

// listens tells whether the session's events go to a stream; if socketToo is true, or to a socket that stays.
func (s *session) listens(socketToo bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := s.endpoint.(type) {
	case *stream:
		return true
	case *socket:
		return socketToo && !e.isClosing()
	default:
		return false
	}
}
