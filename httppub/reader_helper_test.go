package httppub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/broker"
)

// library is a Reader before a real broker that keeps ten messages of each channel, and none of /fleeting.
type library struct {
	*Reader
	broker  *broker.Broker
	checked http.Handler
}

// ServeHTTP is the Reader's, held against the document.
func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.checked.ServeHTTP(w, r) }

func openLibrary(t testing.TB, change ...func(*ReaderOptions)) *library {
	t.Helper()
	b, err := broker.New(broker.Options{
		Authorizer: shelves{},
		Retention: func(c broker.Channel) broker.Retention {
			if c == "/fleeting" {
				return broker.Retention{}
			}
			return broker.Retention{Size: 10}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
	o := ReaderOptions{Broker: b, Authenticator: cards{}, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&o)
	}
	h, err := NewReader(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Shutdown)
	return &library{h, b, document.Handler(t, h)}
}

// shelves lets anyone read and subscribe, but for /secret and below; the rest takes a grant.
type shelves struct{}

func (shelves) Authorize(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	open := (act == broker.ActRead || act == broker.ActSubscribe) && !strings.HasPrefix(string(p), "/secret")
	switch {
	case open && (act != broker.ActSubscribe || p != "/archive"), who.Holds(act, p):
		return nil
	case who.Anonymous():
		return broker.Errorf(broker.Unauthenticated, "a token is needed to %s %s", act, p)
	default:
		return broker.Errorf(broker.Forbidden, "the token does not allow to %s %s", act, p)
	}
}

// cards are tokens: the words of what they allow everywhere, joined by "+". "fading" is good for a minute.
type cards struct{}

func (cards) Authenticate(_ context.Context, credential string) (broker.Principal, error) {
	who := broker.Principal{Subject: "alice", Issuer: "r"}
	for word := range strings.SplitSeq(credential, "+") {
		switch word {
		case "fading":
			who.Expires = time.Now().Add(time.Minute)
		case "none":
		default:
			i := strings.Index("publish   subscribe read      manage", word)
			if i < 0 || i%10 != 0 {
				return who, broker.Errorf(broker.Unauthenticated, "the token's signature is wrong")
			}
			who.Grants = append(who.Grants, broker.Grant{Action: broker.Action(i / 10), Pattern: "/**"})
		}
	}
	return who, nil
}

func (l *library) publish(t testing.TB, channel, id, data string) broker.Position {
	t.Helper()
	who := broker.Principal{Subject: "bob", Issuer: "r", Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: "/**"}}}
	r, err := l.broker.Publish(context.Background(), who, &broker.Message{Channel: broker.Channel(channel), ID: id, Data: json.RawMessage(data)}, broker.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Position
}

// fill publishes items 1 to n to a channel, and gives their positions: the first at 1.
func (l *library) fill(t testing.TB, channel string, n int) []broker.Position {
	t.Helper()
	at := make([]broker.Position, n+1)
	for i := 1; i <= n; i++ {
		at[i] = l.publish(t, channel, fmt.Sprint(i), fmt.Sprint(i))
	}
	return at
}

func (l *library) do(method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/realm/r/"+path, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func (l *library) get(path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	return l.do(http.MethodGet, path, change...)
}

func token(s string) func(*http.Request) { return header("Authorization", "Bearer "+s) }

// pageReply is a page of messages as a client reads it.
type pageReply struct {
	Channel  string
	Messages []struct {
		ID, Channel, Position, Publisher string
		Data                             json.RawMessage
		Time                             time.Time
	}
	Position, Next string
}

func (p pageReply) ids() string {
	var ids []string
	for _, m := range p.Messages {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func readPage(t testing.TB, w *httptest.ResponseRecorder) pageReply {
	t.Helper()
	var p pageReply
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("the answer is %d %q (%v)", w.Code, w.Body, err)
	}
	return p
}

func decode(r io.Reader, v any) error { return json.NewDecoder(r).Decode(v) }

// slowBody is a body of which nothing ever comes until it is closed.
type slowBody struct {
	closed chan struct{}
	once   sync.Once
}

func newSlowBody() *slowBody { return &slowBody{closed: make(chan struct{})} }

func (b *slowBody) Read([]byte) (int, error) {
	<-b.closed
	return 0, io.EOF
}

func (b *slowBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
