package ws

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waft/broker"
	"waft/httppub/openapitest"
)

// A recorder has no connection to take over: a handshake that is right gets as far as that.
func TestOpenAPI_whatever_is_asked_of_sockets_is_answered_as_documented(t *testing.T) {
	s := newServer(t, Options{Authenticator: keyring{"good": time.Minute}}, broker.Options{})
	known := openapitest.Known{"access_token": {"good"}, "window": {"1"}, "Authorization": {"Bearer good", "Bearer bad"}}
	handshake := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	for _, o := range document.Operations() {
		if o.ID != "connect" {
			continue
		}
		rapid.Check(t, func(t *rapid.T) {
			sample := document.Samples(o, known).Draw(t, "sample")
			for name, value := range handshake {
				if rapid.IntRange(0, 9).Draw(t, name) > 0 {
					sample.Header[name] = value
				}
			}
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, sample.Request())
			result := w.Result()
			defer result.Body.Close()
			if w.Body.Len() == 0 { // it was to be a socket
				return
			}
			x := openapitest.Exchange{Request: sample.Request(), Status: result.StatusCode, Header: result.Header, Body: w.Body.Bytes()}
			if document.Serves(sample.Path, o.ID) { // a router sends nothing else here
				if err := document.Check(x); err != nil {
					t.Fatal(err)
				}
			}
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		})
	}
}
