package httppub

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waft/broker"
	"waft/httppub/openapitest"
)

// Whatever is asked, right or wrong, is answered as the document says, and never with a failure; and what is refused has published nothing.
func TestOpenAPI_whatever_is_asked_is_answered_as_documented(t *testing.T) {
	d := openDoorWith(t, Options{MaxBody: 20_000, MaxItems: 4}, broker.Options{
		MaxMessage: 2_000, Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: 5} },
	}, IntakeOptions{Hold: -1})
	reader, err := NewReader(ReaderOptions{Broker: d.broker, Authenticator: cards{}, Limits: ReaderLimits{MaxPage: 3, MaxWait: time.Microsecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Shutdown)
	page, err := NewDocument(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == DocumentPath:
			page.ServeHTTP(w, r)
		case Serves(r):
			d.Handler.ServeHTTP(w, r)
		default:
			reader.ServeHTTP(w, r)
		}
	})
	known := openapitest.Known{
		"realm": append(slices.Repeat([]string{"myrealm"}, 15), "nowhere"), "channel": {"a", "/a", "b/c", "open"}, "id": {"1", "2", "3"}, "prev-id": {"1", "2"},
		"json-object": {"hello"}, "fpp": {"hello"}, "label": {"session-1", "poll-1"}, "since": {"0"},
		"Authorization": {"Bearer " + goodToken, "Bearer " + goodToken, "Bearer " + narrowToken, "Bearer manage", "Bearer read", "Bearer publish", "Basic eDp5"},
	}
	for _, o := range document.Operations() {
		if !slices.Contains(here, o.ID) {
			continue
		}
		t.Run(o.ID, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				sample := document.Samples(o, known).Draw(rt, "sample")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, sample.Request())
				result := w.Result()
				defer result.Body.Close()
				body := append([]byte{}, w.Body.Bytes()...)
				if err := document.Check(openapitest.Exchange{
					Request: sample.Request(), Sent: sample.Body, Status: result.StatusCode, Header: result.Header, Body: body,
				}); err != nil {
					rt.Fatal(err)
				}
				if w.Code >= 500 || w.Code >= 300 && w.Code < 400 && w.Code != http.StatusNotModified {
					rt.Fatalf("%d %s", w.Code, w.Body)
				}
				got, want := len(d.received()), -1
				switch {
				case w.Code >= 400 || sample.Method != http.MethodPost:
					want = 0
				case result.Header.Get("Content-Type") == "application/x-ndjson":
					lines := strings.Split(strings.TrimSpace(string(body)), "\n")
					var end bulkEnd
					if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil {
						rt.Fatal(err)
					}
					want = end.Published
				case result.Header.Get("Content-Type") == "application/json":
					want = 0
					for _, r := range replyOf(t, body).Receipts {
						if !r.Duplicate {
							want++
						}
					}
				}
				if want >= 0 && got != want {
					rt.Fatalf("%d messages were published, and the answer is of %d: %d %s", got, want, w.Code, body)
				}
			})
		})
	}
}
