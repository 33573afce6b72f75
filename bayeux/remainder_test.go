package bayeux

import (
	"bytes"
	"net/http"
	"testing"
)

// A request whose body the handler has left unread, because it was refused, is over with its body: what is in that is no request.
func TestHold_a_body_that_nobody_read_is_no_request(t *testing.T) {
	for name, inside := range map[string][]byte{
		"like the poll": rawPost(`{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"smuggled"}`),
		"another":       []byte("GET /smuggled HTTP/1.1\r\nHost: waft.test\r\n\r\n"),
		"none":          []byte("[]"),
	} {
		for _, wrapped := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				s := newServer(t, handedBack, longLived)
				front := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.Header.Get("X-Deny") != "":
						http.Error(w, "no", http.StatusForbidden)
					case r.URL.Path == "/smuggled":
						t.Error("a request was found in a body")
					default:
						s.h.ServeHTTP(w, r)
					}
				})}
				web := s.newWeb
				if wrapped {
					web = s.newWrappedWeb
				}
				w := s.wireTo(web(front))
				id := s.connected(`"/a"`)
				w.send(rawPost(connect(id, `"1"`)))
				s.heldNow(1)
				s.event("/a", "1")
				w.messages()
				s.idleNow(1)
				w.send(bytes.Replace(rawPost(string(inside)), []byte("\r\n"), []byte("\r\nX-Deny: yes\r\n"), 1))
				res, _ := w.next()
				equal(t, "status", res.status, http.StatusForbidden)
				w.send(rawPost(msg("/meta/unsubscribe", id, `"2"`, `"subscription":"/a"`)))
				ok(t, w.messages().with(t, `"2"`))
			})
		}
	}
}
