package sse

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/httppub/place"
)

// writeWithin bounds the writes before the outbox takes the connection over.
const writeWithin = 10 * time.Second

// respond begins the response and takes its connection over. On HTTP/2, which many streams share, the handler stays.
func (o *opening) respond(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no") // nginx would keep the events until it has some kilobytes of them
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		c := outbox.NewResponseConn(w, r)
		defer c.Finish()
		if o.begin(r.Context(), c, nil) {
			o.st.run()
		}
		return
	}
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	if o.begin(r.Context(), nc, head.Bytes()) {
		o.st.wait(nc) // and nothing of the request stays behind
	}
}

// begin writes what comes before the messages, replays what a session cannot queue, and attaches the stream. False: it has failed,
// and all is undone.
func (o *opening) begin(ctx context.Context, nc net.Conn, head []byte) bool {
	st := o.st
	o.h.counters.opened.Add(1)
	if o.resumes {
		o.h.counters.resumed.Add(1)
	}
	b := append(head, o.h.retryLine()...)
	b = o.appendReset(b)
	b = o.appendReady(b)
	err := write(nc, b)
	if err == nil && o.place.Behind {
		err = o.place.CatchUp(ctx, &catcher{opening: o, nc: nc, memo: place.Memo{Before: idField}})
	}
	if err != nil {
		if broker.KindOf(err) != broker.Internal { // what a write fails with is of no kind
			_ = write(nc, endEvent(err))
			st.session.Close(err)
		}
		_ = nc.Close()
		st.over()
		return false
	}
	st.attach(o.h.outbox.Attach(nc, st))
	return true
}

func write(nc net.Conn, b []byte) error {
	_ = nc.SetWriteDeadline(time.Now().Add(writeWithin)) // fails where there is no connection: in a test, or after its end
	_, err := nc.Write(b)
	return err
}

// retryLine tells the client how many milliseconds to wait before it opens a lost stream again: not the same for all, who lose theirs
// together when the server stops. (WHATWG HTML §9.2.6)
func (h *Handler) retryLine() string {
	third := max(h.opts.Retry.Milliseconds()/3, 1)
	return fmt.Sprintf("retry: %d\n\n", h.opts.Retry.Milliseconds()-third+rand.N(2*third+1)) //nolint:gosec // G404: it spreads clients and protects nothing
}

// appendReset tells of what was lost since it was told last.
func (o *opening) appendReset(b []byte) []byte {
	lost := o.place.Lost()
	if len(lost) == 0 {
		return b
	}
	b = o.appendNote(b, "reset", struct {
		Channels []broker.Pattern `json:"channels"`
	}{lost})
	o.h.counters.reset.Add(1)
	return b
}

// appendReady is the first event of every stream: some clients take an id only from an event.
func (o *opening) appendReady(b []byte) []byte {
	return o.appendNote(b, "ready", struct {
		Resumed bool `json:"resumed"`
	}{o.place.Resumed()})
}

func (o *opening) appendNote(b []byte, event string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		return b // structs of texts can be marshalled
	}
	var raw []byte
	b = append(append(append(b, "event: "...), event...), "\nid: "...)
	b = o.st.cursor.Append(b, &raw)
	b = append(append(b, "\ndata: "...), text...)
	return append(b, "\n\n"...)
}
