package bayeux

import (
	"io"
	"net/http"
	"time"

	"waft/broker/outbox"
)

// streamResponse serves a stream whose connection cannot be taken over, because others share it: the handler stays, and
// the outbox writes the response.
func (h *Handler) streamResponse(w http.ResponseWriter, r *http.Request, s *session) {
	c := outbox.NewResponseConn(w, r)
	defer c.Finish()
	_ = c.SetWriteDeadline(time.Now().Add(writeWithin)) // fails where there is no connection: in a test, or after its end
	if _, err := io.WriteString(c, retryLine()); err != nil {
		return
	}
	if st := h.openStream(c, s, h.clientAddress(r)); st != nil {
		st.read()
	}
}
