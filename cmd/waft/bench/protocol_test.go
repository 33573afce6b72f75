package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestPlainPoll_goes_on_where_the_last_response_says(t *testing.T) {
	p := &plainPoll{request: "GET /x HTTP/1.1\r\nHost: h\r\n"}
	var out bytes.Buffer
	seen := 0
	payload := string(stamp{}.appendPayload(nil, 80))
	response := "HTTP/1.1 200 OK\r\nETag: 3\r\nLast-Modified: Sat, 21 Nov 2026 06:00:00 GMT\r\nContent-Length: 80\r\n\r\n" + payload
	if err := p.feed([]byte(response), &out, func(stamp) { seen++ }); err != nil {
		t.Fatal(err)
	}
	want := "GET /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: 3\r\nIf-Modified-Since: Sat, 21 Nov 2026 06:00:00 GMT\r\n\r\n"
	if seen != 1 || out.String() != want {
		t.Errorf("%d seen, then asked\n%q, want\n%q", seen, out.String(), want)
	}
	if err := p.feed([]byte("HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone"), &out, nil); err == nil || !strings.Contains(err.Error(), "410 Gone: gone") {
		t.Errorf("%v", err)
	}
}

// CometD's servers do not find a session without the cookie that came with it.
func TestBayeuxPoll_shows_the_cookies_that_it_was_given(t *testing.T) {
	t.Parallel()
	shown := make(chan string, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies := r.Header.Get("Cookie")
		shown <- cookies
		channel, next := "/meta/handshake", "a=1"
		if cookies != "" {
			channel, next = "/meta/subscribe", "b=2"
		}
		w.Header().Set("Set-Cookie", next+"; Path=/; HttpOnly")
		fmt.Fprintf(w, `[{"channel":%q,"clientId":"x","successful":true}]`, channel)
	}))
	t.Cleanup(server.Close)
	l, err := dial(t.Context(), locate(server.URL), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &bayeuxPoll{}
	if err := p.open(t.Context(), l, "/c"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "a=1", "a=1; b=2"} { // handshake, subscription, poll
		if got := <-shown; got != want {
			t.Errorf("showed %q, want %q", got, want)
		}
	}
}

func TestBayeuxSocket_connects_again_and_gives_up_when_refused(t *testing.T) {
	s := &bayeuxSocket{client: "c"}
	frame := func(text string) []byte { return append([]byte{0x81, byte(len(text))}, text...) }
	var out bytes.Buffer
	err := s.feed(frame(`[{"channel":"/meta/connect","successful":true}]`), &out, nil)
	if want := len(appendFrame(nil, opText, []byte(connectText(WebSocket, "c")))); err != nil || out.Len() != want {
		t.Errorf("%d bytes sent, want %d: %v", out.Len(), want, err)
	}
	err = s.feed(frame(`[{"channel":"/meta/connect","successful":false,"error":"401::Unknown client"}]`), &out, nil)
	if err == nil || !strings.Contains(err.Error(), "401::Unknown client") {
		t.Errorf("%v", err)
	}
}

func TestControl_a_ping_is_answered_and_a_close_ends(t *testing.T) {
	var out bytes.Buffer
	s := &rawSocket{}
	if err := s.feed([]byte("\x89\x02hi"), &out, nil); err != nil || out.Len() != 2+4+2 || out.Bytes()[0] != finalBit|opPong {
		t.Errorf("% x, %v", out.Bytes(), err)
	}
	if err := s.feed([]byte("\x88\x04\x03\xe9by"), &out, nil); !errors.Is(err, errClosed) || !strings.Contains(err.Error(), "1001 by") {
		t.Errorf("%v", err)
	}
}

// A subscriber must cost next to nothing, or it is what is measured.
func TestFeed_a_delivery_allocates_nothing(t *testing.T) {
	payload := stamp{run: 1}.appendPayload(nil, 100)
	for name, c := range map[string]struct {
		protocol protocol
		bytes    []byte
	}{
		"raw":    {&rawSocket{}, append([]byte{0x81, 100}, payload...)},
		"bayeux": {&bayeuxSocket{}, append([]byte{0x81, 100}, payload...)},
		"plain":  {&plainSocket{}, servedFrame(plainFrame("a-1", string(payload)))},
		"sse":    {&eventStream{chunked: true}, append(append([]byte("6c\r\ndata: "), payload...), "\n\n\r\n"...)},
	} {
		see := func(stamp) {}
		if n := testing.AllocsPerRun(100, func() {
			if err := c.protocol.feed(c.bytes, nil, see); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a delivery", name, n)
		}
	}
	f := &fleet{assignment: assignment{Run: 1, Publishers: 1, Channels: 1, Count: 1}, tally: newTally(), pending: [][]pending{make([]pending, ringSize)}, wake: make(chan struct{}, 1)}
	f.roster = &roster{all: []*subscriber{{tracks: make([]track, 1)}}}
	event := append(append([]byte("<message to='u0@localhost/bench'><event><item>"), payload...), "</item></event></message>"...)
	if n := testing.AllocsPerRun(100, func() {
		if err := f.roster.stanzas.feed(event, f.stanza); err != nil {
			t.Fatal(err)
		}
		f.finished, f.all = f.finished[:0], nil
	}); n > 0 || f.tally.Deliveries != 1 {
		t.Errorf("xmpp: %v allocations a delivery; %d deliveries", n, f.tally.Deliveries)
	}
}

// Answers that end as the last did are not read again, and all others are.
func TestUsualReply(t *testing.T) {
	const connects = `{"id":"3","clientId":"c","channel":"/meta/connect","successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":30000}}`
	u := usual([]byte(`[{"channel":"/a","data":1},` + connects + `]`))
	for messages, ends := range map[string]bool{
		`[` + connects + `]`:                                                 true,
		`[{"channel":"/a","data":[2]},` + connects + `]`:                     true,
		`[` + connects + `,{"channel":"/a","data":1}]`:                       false,
		`[ ` + connects + `]`:                                                false,
		`[{"channel":"/a","data":[` + connects + `]}]`:                       false,
		`[{"channel":"/a","data":` + connects + `}]`:                         false,
		strings.Replace(`[`+connects+`]`, "true", "false", 1):                false,
		strings.Replace(`[`+connects+`]`, `"interval":0`, `"interval":9`, 1): false,
		connects + `]`: false, `]`: false, ``: false,
	} {
		if u.ends([]byte(messages)) != ends {
			t.Errorf("%s ends so: %v", messages, !ends)
		}
	}
	for _, messages := range []string{
		`[{"channel":"/a","data":1}]`, `[]`, `nothing`,
		`[` + strings.Replace(connects, "true", "false", 1) + `]`,
		`[` + strings.Replace(connects, `"interval":0`, `"interval":9`, 1) + `]`,
		`[` + connects + `,{"channel":"/a","data":1}]`,
	} {
		if u := usual([]byte(messages)); u != nil || u.ends([]byte(messages)) {
			t.Errorf("%s: %s is usual", messages, u)
		}
	}
}

// A subscriber connects again behind every answer, until one says that it must not.
func TestBayeuxPoll_connects_again_until_it_is_refused(t *testing.T) {
	p := &bayeuxPoll{request: []byte("again;")}
	answer := func(body string) []byte {
		return []byte("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	}
	var out bytes.Buffer
	const good, bad = `{"id":"3","channel":"/meta/connect","successful":true}`, `{"id":"3","channel":"/meta/connect","successful":false,"error":"402::Unknown"}`
	for i := range 3 {
		if err := p.feed(answer(`[{"channel":"/a","data":`+strconv.Itoa(i)+`},`+good+`]`), &out, func(stamp) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.feed(answer(`[`+bad+`]`), &out, func(stamp) {}); err == nil || !strings.Contains(err.Error(), "402::Unknown") {
		t.Error(err)
	}
	if out.String() != "again;again;again;" {
		t.Errorf("sent %s", out.String())
	}
}
