package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// servedFrame is a text as a server sends it.
func servedFrame(text string) []byte {
	if len(text) <= maxControl {
		return append([]byte{finalBit | opText, byte(len(text))}, text...)
	}
	return append([]byte{finalBit | opText, 126, byte(len(text) >> 8), byte(len(text))}, text...)
}

// plainFrame is a message as waft sends it.
func plainFrame(position, data string) string {
	return `{"type":"message","channel":"/c","id":"7","position":"` + position + `","time":"2026-11-21T04:27:51.123Z","data":` + data + `}`
}

// saidFrames gives the texts of what a client has sent, its masks taken off.
func saidFrames(t *testing.T, b []byte) (texts []string) {
	t.Helper()
	for len(b) > 0 {
		n, payload := int(b[1]&^maskBit), b[6:]
		if n > maxControl || len(payload) < n {
			t.Fatalf("% x is no short frame", b)
		}
		text := make([]byte, n)
		for i := range text {
			text[i] = payload[i] ^ b[2+i&3]
		}
		texts, b = append(texts, string(text)), payload[n:]
	}
	return texts
}

// plainServer answers a subscribe with what it is given, as it stands; nil: it hangs up.
func plainServer(t *testing.T, subprotocol string, answer []byte) (url string, heard <-chan string) {
	t.Helper()
	said := make(chan string, 5) // connections of a test, at most
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{Subprotocols: []string{subprotocol}}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		if _, text, err := ws.ReadMessage(); err == nil {
			said <- string(text)
			if answer == nil {
				return
			}
			_, _ = ws.NetConn().Write(answer)
			_, _, _ = ws.ReadMessage() // until the client has gone
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, said
}

func openPlain(t *testing.T, url string) (*plainSocket, *line, error) {
	t.Helper()
	l, err := dial(t.Context(), locate(url), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &plainSocket{}
	return s, l, s.open(t.Context(), l, "/c")
}

func TestPlainSocket_a_message_right_behind_the_answer_to_subscribe_is_not_lost(t *testing.T) {
	t.Parallel()
	answer := servedFrame(`{"type":"subscribed","ref":1,"channels":["/c"],"resumed":false,"place":"EQAA"}`)
	message := servedFrame(plainFrame("a-1", string(stamp{n: 5}.appendPayload(nil, 100))))
	url, heard := plainServer(t, Plain, append(answer, message...))
	s, l, err := openPlain(t, url)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := <-heard, `{"type":"subscribe","ref":1,"channel":"/c"}`; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
	if _, err := l.in.Peek(len(message)); err != nil {
		t.Fatal(err)
	}
	var seen []uint64
	if err := s.feed(l.leftover(), nil, func(m stamp) { seen = append(seen, m.n) }); err != nil || len(seen) != 1 || seen[0] != 5 {
		t.Errorf("saw %v, %v", seen, err)
	}
}

func TestPlainSocket_says_why_it_is_not_subscribed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subprotocol string
		answer      []byte
		want        string
	}{
		{Plain, servedFrame(`{"type":"error","ref":1,"code":"forbidden","message":"no rule lets you"}`), "the server refused: forbidden: no rule lets you"},
		{Plain, []byte("\x88\x0c\x11\x31credential"), "4401 credential"},
		{Plain, servedFrame(`[]`), "what is not waft.v1"},
		{Plain, nil, "waiting for the answer to subscribe"},
		{"other", nil, "does not speak waft.v1"},
	} {
		url, _ := plainServer(t, c.subprotocol, c.answer)
		if _, _, err := openPlain(t, url); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q is not said, but %v", c.want, err)
		}
	}
}

func TestPlainSocket_ends_when_its_subscription_does(t *testing.T) {
	for frame, want := range map[string]string{
		`{"type":"unsubscribed","channels":["/c"],"code":"forbidden","message":"the rules have changed"}`: "the server ended the subscription: forbidden: the rules have changed",
		`{"type":"error","code":"invalid","message":"what is that?"}`:                                     "the server refused: invalid: what is that?",
		`hello`: "what is not waft.v1",
		`{"type":"place","ref":1,"channels":["/**"],"place":"EQ"}`:     "",
		`{"type":"lost","ref":1,"channels":["/c"],"place":"EQ"}`:       "",
		`{"type":"something new","code":"forbidden","message":"what"}`: "",
	} {
		err := (&plainSocket{}).feed(servedFrame(frame), nil, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", frame, err, want)
		}
	}
}

func TestPlainSocket_acknowledges_each_half_of_the_window_in_its_address(t *testing.T) {
	t.Parallel()
	url, _ := plainServer(t, Plain, servedFrame(`{"type":"subscribed","ref":1}`))
	data := string(stamp{}.appendPayload(nil, 80))
	reordered := `{"data":` + data + `,"position":"a-3","type":"message"}`
	both := append(servedFrame(plainFrame("a-1", data)), servedFrame(plainFrame("a-2", data))...)
	for query, want := range map[string][]string{
		"":          nil,
		"?window=1": {`{"type":"ack","positions":{"/c":"a-2"}}`, `{"type":"ack","positions":{"/c":"a-3"}}`},
		"?window=3": {`{"type":"ack","positions":{"/c":"a-2"}}`},
		"?window=5": {`{"type":"ack","positions":{"/c":"a-3"}}`},
		"?window=7": nil,
	} {
		s, _, err := openPlain(t, url+"/ws"+query)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		seen := 0
		for _, b := range [][]byte{both, servedFrame(`{"type":"pong"}`), servedFrame(reordered)} { // one frame of its own for what came together
			if err := s.feed(b, &out, func(stamp) { seen++ }); err != nil {
				t.Fatal(err)
			}
		}
		if got := saidFrames(t, out.Bytes()); seen != 3 || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: saw %d, said %q, want %q", query, seen, got, want)
		}
	}
}

// What the server says in pieces must be taken as what it says at once.
func FuzzPlainSocket(f *testing.F) {
	message := plainFrame("a-1", string(stamp{n: 5}.appendPayload(nil, 100)))
	f.Add(append(servedFrame(message), servedFrame(`{"type":"place"}`)...), 30)
	f.Add(append(servedFrame(strings.Replace(message, "a-1", `a`, 1)), servedFrame(`{"type":"error","code":"x"}`)...), 200)
	f.Add(servedFrame(`{"type":"message","position":"`), 3)
	f.Add(servedFrame(`{"type":7}`), 5)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		inPieces(t, b, cut, func(said *strings.Builder) func([]byte) error {
			s := &plainSocket{half: 1}
			return func(part []byte) error {
				return s.feed(part, io.Discard, func(m stamp) { fmt.Fprintf(said, "%+v;", m) })
			}
		})
	})
}
