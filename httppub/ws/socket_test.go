package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub"
)

// keyring knows tokens by name: "alice/2" is of alice. Each lasts so long; 0: for ever, negative: it has expired.
type keyring map[string]time.Duration

func (k keyring) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	life, ok := k[token]
	switch {
	case !ok:
		return broker.Principal{}, &broker.Error{Kind: broker.Unauthenticated, Text: "no such token"}
	case life < 0:
		return broker.Principal{}, broker.ErrCredentialExpired
	}
	subject, _, _ := strings.Cut(token, "/")
	who := broker.Principal{Subject: subject, Issuer: "x"}
	if life > 0 {
		who.Expires = time.Now().Add(life)
	}
	return who, nil
}

// insiders lets only those with a credential into /private/**.
var insiders = brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	switch {
	case p == "/secret":
		return &broker.Error{Kind: broker.Forbidden, Text: "nobody may"}
	case p.Overlaps("/private/**") && who.Anonymous():
		return &broker.Error{Kind: broker.Unauthenticated, Text: "a token is needed"}
	}
	return nil
})

func TestSocket_brings_messages_of_channels_and_wildcards_as_they_were_written(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.connect("")
	if x := c.subscribe("/a", "b/**"); x.Resumed || x.Place == "" || fmt.Sprint(x.Channels) != "[/a /b/**]" || string(x.Ref) != "1" {
		t.Errorf("%+v", x)
	}
	for _, data := range []string{`{"b":1.0,"a":9007199254740993}`, `"<é\u2028>"`, `null`, `[]`} {
		s.publish("/b/x/y", data)
		if x := c.hear("message"); string(x.Data) != data || x.Channel != "/b/x/y" || x.ID == "" || x.Position == "" || x.Time.IsZero() {
			t.Errorf("%+v, want %s", x, data)
		}
	}
	s.publish("/c", 1)
	c.nothing()
}

func TestSocket_publishes_and_gets_receipts(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{Authorizer: insiders})
	c := s.connect("")
	c.subscribe("/a")
	c.say(`{"type":"publish","ref":"x","channel":"a","data": {"n": 1.0},"id":"7"}`)
	m := c.hear("message") // the publisher's own comes before the receipt
	r := c.hear("published")
	if string(m.Data) != `{"n":1.0}` || r.ID != "7" || m.ID != "7" || r.Position != m.Position || r.Channel != "/a" || r.Duplicate || string(r.Ref) != `"x"` {
		t.Errorf("%+v %+v", m, r)
	}
	if again := c.ask(`{"type":"publish","channel":"/a","data":2,"id":"7"}`, "published"); !again.Duplicate || again.Position != r.Position {
		t.Errorf("%+v", again)
	}
	for channel, code := range map[string]string{"/secret": "forbidden", "/private/x": "unauthenticated"} {
		if x := c.ask(`{"type":"publish","ref":1,"channel":"`+channel+`","data":1}`, "error"); x.Code != code || string(x.Ref) != "1" {
			t.Errorf("%s: %+v", channel, x)
		}
	}
	if n := s.handler.Stats().Published; n != 2 {
		t.Errorf("%d published", n)
	}
}

// A message's frame is made once, whoever reads it.
func TestForm_is_shared(t *testing.T) {
	m := &broker.Message{Channel: "/a", ID: "1", Data: []byte("1")}
	one, _ := m.Encoded(form{})
	two, _ := m.Encoded(form{})
	if &one[0] != &two[0] {
		t.Error("encoded twice")
	}
	if _, err := (&broker.Message{Channel: "/a", Retracted: true}).Encoded(form{}); err == nil {
		t.Error("a retraction has a form")
	}
}

func TestSocket_survives_messages_without_a_form(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.connect("window=1")
	c.subscribe("/a")
	m := &broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": []byte(`{}`)}}
	if _, err := s.broker.Publish(t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	s.publish("/a", 1)
	c.want("1")
}

func TestSubscribe_is_all_or_none_and_once(t *testing.T) {
	s := newServer(t, Options{MaxSubscriptions: 3}, broker.Options{Authorizer: insiders})
	c := s.connect("")
	for text, code := range map[string]string{
		`"/a","/secret"`:         "forbidden",
		`"/a","/private/x"`:      "unauthenticated",
		`"/a","/b","/c","/d"`:    "rate_limited",
		`"/a","/**"`:             "unauthenticated",
		`"/a","/service/x"`:      "forbidden",
		`"/a","/b/**","/meta/*"`: "forbidden",
	} {
		if x := c.ask(`{"type":"subscribe","channels":[`+text+`]}`, "error"); x.Code != code {
			t.Errorf("%s: %+v", text, x)
		}
	}
	s.publish("/a", 1)
	c.nothing()
	c.subscribe("/a", "a", "/b")
	if x := c.ask(`{"type":"subscribe","channels":["/c","/b"]}`, "error"); x.Code != "conflict" {
		t.Errorf("%+v", x)
	}
	if n := s.broker.Stats().Subscriptions; n != 2 {
		t.Errorf("%d subscriptions", n)
	}
}

func TestUnsubscribe_brings_nothing_more_and_the_rest_of_the_place_stays(t *testing.T) {
	s := newServer(t, Options{KeepAlive: 20 * time.Millisecond, PongWait: patience}, broker.Options{})
	c := s.connect("")
	c.subscribe("/w/**", "/w/1", "/a")
	s.publish("/w/1", 1)
	s.publish("/a", 2)
	c.want("1", "2")
	next := func(kind string) said {
		for {
			if x := c.next(); x.Type != "place" {
				if x.Type != kind {
					t.Fatalf("%+v, want %s", x, kind)
				}
				return x
			}
		}
	}
	c.say(`{"type":"unsubscribe","ref":2,"channels":["/w/1","/a"]}`)
	if x := next("unsubscribed"); string(x.Ref) != "2" || x.Code != "" {
		t.Errorf("%+v", x)
	}
	s.publish("/a", 3)
	s.publish("/w/2", 4) // the wildcard has it
	if x := next("message"); string(x.Data) != "4" {
		t.Errorf("%+v", x)
	}
	var x said
	for x.Type != "place" {
		x = c.next()
	}
	if fmt.Sprint(x.Channels) != "[/w/**]" || string(x.Ref) != "1" {
		t.Errorf("%+v", x)
	}
	c.close()
	s.publish("/w/1", 5)
	again := s.connect("")
	again.say(`{"type":"subscribe","channel":"/w/**","since":"` + x.Place + `"}`)
	if y := again.hear("subscribed"); !y.Resumed {
		t.Errorf("%+v", y)
	}
	if y := again.next(); string(y.Data) != "5" {
		t.Errorf("%+v", y)
	}
}

func TestSince_is_a_place_or_a_position_and_what_is_lost_is_told(t *testing.T) {
	s := newServer(t, Options{}, deep(3))
	at := []string{}
	for i := range 3 {
		at = append(at, brokertest.Publish(t, s.broker, "/a", fmt.Sprint(i)).Position.String())
	}
	place := s.connect("").subscribe("/a", "/w/*").Place
	for _, c := range []struct {
		name, channels, more string
		lost                 string
		want                 []string
	}{
		{"position", `"/a"`, `,"since":"` + at[0] + `"`, "", []string{"1", "2"}},
		{"position_seen", `"/a","/b"`, `,"seen":{"/a":"` + at[1] + `"}`, "", []string{"2"}},
		{"place", `"/a","/w/*"`, `,"since":"` + place + `"`, "", nil},
		{"place_and_seen", `"/a","/w/*"`, `,"since":"` + place + `","seen":{"/a":"` + at[0] + `"}`, "", []string{"1", "2"}},
		{"another_history", `"/a"`, `,"since":"1-1"`, "[/a]", nil},
		{"another_history_of_a_wildcard", `"/*"`, `,"since":"` + s.serve(Options{Generation: 7}).connect("").subscribe("/*").Place + `"`, "[/*]", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := s.connect("")
			x.say(`{"type":"subscribe","channels":[` + c.channels + `]` + c.more + `}`)
			if got := x.hear("subscribed"); len(got.Lost) > 0 != (c.lost != "") || c.lost != "" && fmt.Sprint(got.Lost) != c.lost || got.Resumed != (c.lost == "") {
				t.Errorf("%+v", got)
			}
			x.want(c.want...)
			x.nothing()
		})
	}
	for i := range 5 { // the place's history goes
		s.publish("/a", i)
	}
	x := s.connect("")
	x.say(`{"type":"subscribe","channels":["/a","/w/*"],"since":"` + place + `"}`)
	if got := x.hear("subscribed"); got.Resumed || fmt.Sprint(got.Lost) != "[/a]" {
		t.Errorf("%+v", got)
	}
	if n := s.handler.Stats().Lost; n != 3 {
		t.Errorf("%d lost", n)
	}
}

func TestWindow_holds_messages_back_until_they_are_acknowledged(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.connect("window=3")
	c.subscribe("/a", "/b")
	var at []string
	for i := range 6 {
		ch := "/a"
		if i%2 == 1 {
			ch = "/b"
		}
		at = append(at, brokertest.Publish(t, s.broker, ch, fmt.Sprint(i)).Position.String())
	}
	c.want("0", "1", "2")
	c.nothing()
	c.ask(`{"type":"ack","ref":1,"positions":{"/c":"z-1","/a":"`+at[0]+`"}}`, "message") // one more before the answer
	c.hear("acked")
	c.nothing()
	c.say(`{"type":"ack","positions":{"/a":"` + at[2] + `","/b":"` + at[3] + `"}}`)
	c.want("4", "5")
	c.nothing()
}

func TestAuth_by_frame_counts_from_then_on(t *testing.T) {
	s := newServer(t, Options{Authenticator: keyring{"alice": time.Hour, "alice/2": 2 * time.Hour, "bob": time.Hour}}, broker.Options{Authorizer: insiders})
	c := s.connect("")
	if x := c.ask(`{"type":"subscribe","channel":"/private/a"}`, "error"); x.Code != "unauthenticated" {
		t.Errorf("%+v", x)
	}
	first := c.ask(`{"type":"auth","ref":1,"token":"alice"}`, "authenticated")
	if first.Subject != "alice" || string(first.Ref) != "1" {
		t.Errorf("%+v", first)
	}
	c.subscribe("/private/a")
	if x := c.ask(`{"type":"auth","token":"bob"}`, "error"); x.Code != "conflict" {
		t.Errorf("%+v", x)
	}
	if x := c.ask(`{"type":"auth","token":"nobody"}`, "error"); x.Code != "unauthenticated" {
		t.Errorf("%+v", x)
	}
	second := c.ask(`{"type":"auth","token":"alice/2"}`, "authenticated")
	if second.Expires <= first.Expires {
		t.Errorf("%s, then %s", first.Expires, second.Expires)
	}
	if back := c.ask(`{"type":"auth","token":"alice"}`, "authenticated"); back.Expires != second.Expires {
		t.Errorf("an older one counts: %s", back.Expires)
	}
	c.ask(`{"type":"publish","channel":"/private/b","data":1}`, "published")
}

func TestAuth_bad_tokens_of_an_address_are_refused_unread_in_requests_and_frames(t *testing.T) {
	damper, err := broker.NewDamper(2, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Damper: damper, Authenticator: keyring{"alice": time.Minute}}, broker.Options{})
	bad := s.connect("")
	bad.ask(`{"type":"auth","token":"nobody"}`, "error")
	bad.ends(4401, "credential")
	if _, got, err := s.dial("access_token=nobody"); got.status != 401 {
		t.Error(got, err)
	}
	for _, query := range []string{"access_token=nobody", "access_token=alice"} {
		if _, got, err := s.dial(query); got.status != 429 || got.header.Get("Retry-After") != "5" {
			t.Error(got, err)
		}
	}
	c := s.connect("")
	if x := c.ask(`{"type":"auth","token":"alice"}`, "error"); x.Code != "rate_limited" {
		t.Errorf("%+v", x)
	}
	c.nothing() // it may try again in a while
	if n := s.handler.Stats().Refused[httppub.RefusedDamped]; n != 2 {
		t.Errorf("%d damped", n)
	}
}

func TestAuth_that_is_bad_or_late_ends_the_connection(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Authenticator: keyring{"alice": time.Hour, "old": -1}, AuthTimeout: 3 * time.Second}, broker.Options{Authorizer: insiders})
	busy := s.connect("") // which is not late: it does what nobody needs a credential for
	busy.subscribe("/a")
	known := s.connect("", "Authorization: Bearer alice")
	late := s.connect("")
	refused := s.connect("")
	refused.ask(`{"type":"subscribe","channel":"/secret"}`, "error") // this does not count
	for _, token := range []string{"nobody", "old"} {
		bad := s.connect("")
		bad.ask(`{"type":"auth","token":"`+token+`"}`, "error")
		bad.ends(4401, "credential")
	}
	late.ends(4401, "credential")
	refused.ends(4401, "credential")
	busy.nothing()
	known.nothing()
	if err := waitFor(func() bool { return s.handler.Stats().Ended[EndCredential] == 4 }); err != nil {
		t.Errorf("%v", s.handler.Stats().Ended)
	}
}

func TestSocket_ends_with_its_credential_unless_that_is_renewed(t *testing.T) {
	t.Parallel()
	keys := keyring{"alice": 3 * time.Second, "alice/2": time.Hour}
	s := newServer(t, Options{Authenticator: keys}, broker.Options{Authorizer: insiders})
	c := s.connect("access_token=alice")
	renewed := s.connect("", "Authorization: Bearer alice")
	renewed.subscribe("/private/a")
	renewed.ask(`{"type":"auth","token":"alice/2"}`, "authenticated")
	idle := s.connect("access_token=alice")
	c.subscribe("/private/a", "/a")
	c.ends(4401, "credential_expired")
	idle.ends(4401, "credential_expired")
	renewed.ask(`{"type":"publish","channel":"/private/a","data":1}`, "message")
	renewed.hear("published")
}

func TestSubscription_ends_with_its_rights_and_the_others_go_on(t *testing.T) {
	var forbidden atomic.Bool
	rules := brokertest.AuthorizerFunc(func(_ context.Context, _ broker.Principal, _ broker.Action, p broker.Pattern) error {
		if forbidden.Load() && p.Overlaps("/w/**") {
			return &broker.Error{Kind: broker.Forbidden, Text: "no longer"}
		}
		return nil
	})
	s := newServer(t, Options{}, broker.Options{Authorizer: rules})
	c := s.connect("")
	c.subscribe("/a", "/w/**")
	forbidden.Store(true)
	if n := s.broker.Recheck(t.Context()); n != 1 {
		t.Fatalf("%d ended", n)
	}
	if x := c.hear("unsubscribed"); x.Code != "forbidden" || x.Message != "no longer" || fmt.Sprint(x.Channels) != "[/w/**]" {
		t.Errorf("%+v", x)
	}
	forbidden.Store(false)
	s.publish("/w/x", 1)
	s.publish("/a", 2)
	c.want("2")
	if x := c.ask(`{"type":"unsubscribe","channel":"/w/**"}`, "error"); x.Code != "not_found" {
		t.Errorf("%+v", x)
	}
	c.subscribe("/w/**")
	if n := s.handler.Stats().Revoked; n != 1 {
		t.Errorf("%d", n)
	}
}

func TestSocket_that_does_not_read_is_ended_and_its_client_comes_back_to_the_rest(t *testing.T) {
	s := newServer(t, Options{MaxMessages: 10}, deep(1000))
	c := s.connect("window=1")
	place := c.subscribe("/a").Place
	s.publish("/a", 0)
	c.want("0")
	for i := 1; i < 20; i++ {
		s.publish("/a", i)
	}
	c.ends(4408, "slow_consumer")
	again := s.connect("")
	seen, _ := json.Marshal(c.seen)
	again.say(fmt.Sprintf(`{"type":"subscribe","channel":"/a","since":%q,"seen":%s}`, place, seen))
	again.hear("subscribed")
	for i := 1; i < 20; i++ {
		again.want(fmt.Sprint(i))
	}
	if s.handler.Stats().Replayed == 0 {
		t.Error("a replay that is more than the queue did not come from the history")
	}
}

// While one subscription catches up, others go on, and frames are answered; what comes after it waits for its turn.
func TestSubscribe_that_catches_up_does_not_hold_up_the_rest(t *testing.T) {
	s := newServer(t, Options{MaxMessages: 10}, deep(1000))
	place := s.connect("").subscribe("/a").Place
	for i := range 300 {
		s.publish("/a", i)
	}
	c := s.connect("window=5")
	c.subscribe("/b")
	c.say(`{"type":"subscribe","ref":2,"channel":"/a","since":"` + place + `"}`)
	c.hear("subscribed")
	c.want("0", "1", "2", "3", "4")
	c.say(`{"type":"unsubscribe","ref":3,"channel":"/a"}`)
	c.say(`{"type":"subscribe","ref":4,"channel":"/c"}`)
	c.ask(`{"type":"publish","ref":5,"channel":"/b","data":"b"}`, "published")
	var order []string
	for len(order) < 3 {
		acks, _ := json.Marshal(c.seen)
		c.say(`{"type":"ack","positions":` + string(acks) + `}`)
		switch x := c.next(); {
		case x.Type != "message":
			order = append(order, x.Type+string(x.Ref))
		case x.Channel == "/b":
			order = append(order, "b")
		}
	}
	if fmt.Sprint(order) != "[b unsubscribed3 subscribed4]" {
		t.Errorf("%v", order)
	}
}

func TestTasks_that_wait_have_a_limit(t *testing.T) {
	s := newServer(t, Options{MaxMessages: 10}, deep(1000))
	first := s.connect("")
	place := first.subscribe("/a").Place
	first.close()
	for i := range 50 {
		s.publish("/a", i)
	}
	c := s.connect("window=1")
	c.say(`{"type":"subscribe","channel":"/a","since":"` + place + `"}`)
	c.hear("subscribed")
	c.want("0")
	for range maxWaiting {
		c.say(`{"type":"subscribe","channel":"/b"}`)
	}
	if x := c.ask(`{"type":"subscribe","ref":9,"channel":"/c"}`, "error"); x.Code != "rate_limited" || string(x.Ref) != "9" {
		t.Errorf("%+v", x)
	}
	c.close() // and what waits ends with it
	if err := s.awaitIdle(); err != nil {
		t.Error(err)
	}
}

func TestFrames_beyond_the_rate_are_refused(t *testing.T) {
	const rate = 4
	began := time.Now()
	s := newServer(t, Options{Limits: Limits{SocketFrames: rate}}, broker.Options{})
	c := s.connect("")
	c.subscribe("/a/*", "/b", "/c") // twelve of twenty
	answered := 0
	x := c.ask(`{"type":"ping"}`, "pong")
	for ; x.Type == "pong"; x = c.next() {
		answered++
		c.say(`{"type":"ping","ref":1}`)
	}
	if x.Type != "error" || x.Code != "rate_limited" || string(x.Ref) != "1" {
		t.Errorf("%+v", x)
	}
	if more := rate * time.Since(began).Seconds(); answered < 8 || float64(answered) > 8+more { // there was time for that
		t.Errorf("%d pings were answered, %v of them for the time that had passed", answered, more)
	}
	if n := s.handler.Stats().Failed[broker.RateLimited]; n != 1 {
		t.Errorf("%d", n)
	}
}

func TestSocket_ends_with_a_code_for_what_is_no_frame(t *testing.T) {
	s := newServer(t, Options{MaxFrame: 1000}, broker.Options{})
	for name, c := range map[string]struct {
		kind   int
		body   string
		code   int
		reason string
		end    End
	}{
		"binary": {websocket.BinaryMessage, `{"type":"ping"}`, 1003, "malformed", EndMalformed},
		"utf8":   {websocket.TextMessage, "{\"type\":\"ping\",\"ref\":\"\xff\"}", 1007, "malformed", EndMalformed},
		"large":  {websocket.TextMessage, strings.Repeat(" ", 1001), 1009, "", EndLarge},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.handler.Stats().Ended[c.end]
			x := s.connect("")
			x.subscribe("/a")
			if err := x.ws.WriteMessage(c.kind, []byte(c.body)); err != nil {
				t.Fatal(err)
			}
			x.ends(c.code, c.reason)
			x.close()
			if err := waitFor(func() bool { return s.handler.Stats().Ended[c.end] == before+1 }); err != nil {
				t.Errorf("%v", s.handler.Stats().Ended)
			}
		})
	}
	t.Run("not_masked", func(t *testing.T) {
		x := s.connect("")
		if _, err := x.ws.NetConn().Write([]byte("\x81\x02{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := x.read(); !websocket.IsCloseError(err, 1002) {
			t.Error(err)
		}
	})
	t.Run("in_pieces", func(t *testing.T) {
		x := s.connect("")
		w, err := x.ws.NextWriter(websocket.TextMessage)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{`{"type"`, `:"ping"`, `}`} {
			if _, err := w.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		x.hear("pong")
	})
}

func TestSocket_that_closes_gets_its_code_back_and_leaves_nothing(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	for range 5 {
		c := s.connect("")
		c.subscribe("/a", "/b/**")
		if err := c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")); err != nil {
			t.Fatal(err)
		}
		c.ends(1000, "")
		cut := s.connect("")
		cut.subscribe("/a")
		_ = cut.ws.NetConn().(*net.TCPConn).SetLinger(0)
		cut.close()
	}
	if err := s.awaitIdle(); err != nil {
		t.Fatal(err)
	}
	if st := s.handler.Stats(); st.Opened != 10 || st.Ended[EndClient] != 10 || st.Sockets != 0 {
		t.Errorf("%+v", st)
	}
	if st := s.broker.Stats(); st.Subscriptions != 0 || st.Sessions["websocket"] != 0 {
		t.Errorf("%+v", st)
	}
}

func TestSocket_is_pinged_and_ended_if_it_does_not_answer(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{KeepAlive: 30 * time.Millisecond, PongWait: time.Second}, broker.Options{})
	c := s.connect("")
	c.subscribe("/a")
	pings := make(chan struct{}, 100)
	c.ws.SetPingHandler(func(string) error { // and does not answer
		pings <- struct{}{}
		return nil
	})
	if _, err := c.read(); err == nil {
		t.Error("it lives")
	}
	if len(pings) == 0 {
		t.Error("no ping")
	}
	if err := waitFor(func() bool { return s.handler.Stats().Ended[EndSilent] == 1 }); err != nil {
		t.Errorf("%v", s.handler.Stats().Ended)
	}
}

func TestSocket_answers_pings(t *testing.T) {
	c := newServer(t, Options{}, broker.Options{}).connect("")
	pong := ""
	c.ws.SetPongHandler(func(s string) error { pong = s; return nil })
	if err := c.ws.WriteMessage(websocket.PingMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if c.nothing(); pong != "hello" {
		t.Errorf("%q", pong)
	}
}

func TestSession_that_somebody_ends_is_told(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.connect("")
	c.subscribe("/a")
	for _, x := range s.broker.Sessions() {
		x.Close(nil)
	}
	c.ends(4410, "closed")
}

func TestShutdown_closes_sockets_as_going_away_and_refuses_new_ones(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	var clients []*client
	for range 5 {
		c := s.connect("")
		c.subscribe("/a")
		clients = append(clients, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error)
	go func() { done <- s.handler.Shutdown(ctx) }()
	for _, c := range clients {
		c.ends(1001, "shutdown")
		c.close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, got, err := s.dial(""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Error(got, err)
	}
	if st := s.handler.Stats(); st.Ended[EndShutdown] != 5 || st.Refused[httppub.RefusedDraining] != 1 {
		t.Errorf("%+v", st)
	}
}
