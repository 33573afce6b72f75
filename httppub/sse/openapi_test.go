package sse

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waft/broker"
	"waft/httppub/openapitest"
)

// leaver is a client that goes when the answer begins.
type leaver struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func (l *leaver) WriteHeader(status int) {
	l.ResponseRecorder.WriteHeader(status)
	l.leave()
}

func (l *leaver) Write(b []byte) (int, error) {
	defer l.leave()
	return l.ResponseRecorder.Write(b)
}

func TestOpenAPI_whatever_is_asked_of_events_is_answered_as_documented(t *testing.T) {
	s := newServer(t, Options{MaxChannels: 3, Authenticator: keyring{"good": time.Minute}}, broker.Options{Authorizer: members})
	known := openapitest.Known{
		"channel": {"/a", "b/c", "/a/**", "/private/a", "/secret"}, "access_token": {"good"}, "Last-Event-ID": {"1x-1"},
		"Authorization": {"Bearer good", "Bearer good", "Bearer bad"},
	}
	for _, o := range document.Operations() {
		if !slices.Contains([]string{"listen", "listenOptions"}, o.ID) {
			continue
		}
		rapid.Check(t, func(t *rapid.T) {
			sample := document.Samples(o, known).Draw(t, "sample")
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			w := &leaver{httptest.NewRecorder(), leave}
			s.handler.ServeHTTP(w, sample.Request().WithContext(ctx))
			result := w.Result()
			defer result.Body.Close()
			x := openapitest.Exchange{Request: sample.Request(), Status: result.StatusCode, Header: result.Header, Body: append([]byte{}, w.Body.Bytes()...)}
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
	if err := s.awaitIdle(); err != nil {
		t.Error(err)
	}
}
