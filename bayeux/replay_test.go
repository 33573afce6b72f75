package bayeux

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// replaying has channels below /kept and /sf keep twenty messages, and those below /sf carry numbers.
func replaying(o *Options, bo *broker.Options) {
	o.ReplayID = func(c broker.Channel) bool { return broker.Pattern("/sf/**").Matches(c) }
	bo.Retention = func(c broker.Channel) broker.Retention {
		if broker.Pattern("/kept/**").Matches(c) || broker.Pattern("/sf/**").Matches(c) {
			return broker.Retention{Size: 20}
		}
		return broker.Retention{}
	}
	bo.NoHistory = func(p broker.Pattern) (broker.Pattern, bool) {
		return p, !broker.Pattern("/kept/**").Covers(p) && !broker.Pattern("/sf/**").Covers(p)
	}
	bo.MaxReplayChannels = 3
}

// subscribeFrom is a subscribe with ext.replay.
func subscribeFrom(clientID, id, subscription, replay string) string {
	return msg("/meta/subscribe", clientID, id, `"subscription":`+subscription+`,"ext":{"replay":`+replay+`}`)
}

// handshakeReplay gives a session whose events have positions.
func (s *server) handshakeReplay() string {
	s.t.Helper()
	m := s.post(strings.TrimSuffix(handshakeMessage, "}")+`,"ext":{"replay":true}}`).with(s.t, `"h"`)
	equal(s.t, "ext of the handshake", m.Get("ext").Raw, `{"replay":true}`)
	return m.Get("clientId").Str
}

// numbers publishes the numbers from..to, and gives the positions of all that the channel keeps.
func (s *server) numbers(channel string, from, to int) (positions []broker.Position) {
	s.t.Helper()
	for n := from; n <= to; n++ {
		s.event(channel, strconv.Itoa(n))
	}
	page, err := s.b.History(context.Background(), broker.Principal{}, broker.Channel(channel), broker.Range{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range page.Messages {
		positions = append(positions, m.Position)
	}
	return positions
}

func number(t testing.TB, p broker.Position) string {
	t.Helper()
	n, ok := p.Number()
	if !ok {
		t.Fatalf("%v has no number", p)
	}
	return strconv.FormatInt(n, 10)
}

// got is what waits for a session, in its order.
func (s *server) got(id string) string {
	s.t.Helper()
	return strings.Join(s.post(connectNow(id, `"got"`)).events(), " ")
}

func TestReplay_begins_where_the_subscribe_says(t *testing.T) {
	s := newServer(t, replaying)
	at := s.numbers("/kept/a", 1, 5)
	for _, test := range []struct{ name, begin, want string }{
		{"new", `-1`, "6"},
		{"kept", `-2`, "1 2 3 4 5 6"},
		{"position", `"` + at[2].String() + `"`, "4 5 6"},
		{"last position", `"` + at[4].String() + `"`, "6"},
		{"number", number(t, at[2]), "4 5 6"},
		{"number with a fraction that is none", number(t, at[2]) + ".0", "4 5 6"},
		{"number as text", `"` + number(t, at[2]) + `"`, "4 5 6"},
		{"kept as text", `"-2"`, "1 2 3 4 5 6"},
		{"new as text", `"-1"`, "6"},
	} {
		for _, subscription := range []string{`"/kept/a"`, `["/kept/a"]`} {
			id := s.handshake()
			m := s.post(subscribeFrom(id, `"s"`, subscription, `{"/kept/a":`+test.begin+`}`)).with(t, `"s"`)
			ok(t, m)
			equal(t, "subscription", m.Get("subscription").Raw, subscription)
			if m.Get("ext").Exists() {
				t.Errorf("%s: a session without replay is told %s", test.name, m.Raw)
			}
			defer func(name, want, subscription string) {
				equal(t, name+" "+subscription, s.got(id), want)
			}(test.name, test.want, subscription)
		}
	}
	s.event("/kept/a", "6")
}

func TestReplay_without_ext_replay_all_is_as_before(t *testing.T) {
	s := newServer(t, replaying)
	s.numbers("/kept/a", 1, 5)
	for _, replay := range []string{`null`, `false`} {
		id := s.handshake()
		ok(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, replay)).with(t, `"s"`))
		equal(t, replay, s.got(id), "")
	}
	id := s.connected(`"/kept/a"`)
	equal(t, "events", s.got(id), "")
	// What the session has it does not get again, whatever it asks for now: Faye repeats its subscribes.
	ok(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-2}`)).with(t, `"s"`))
	equal(t, "events", s.got(id), "")
}

func TestReplay_of_a_wildcard(t *testing.T) {
	s := newServer(t, replaying)
	a := s.numbers("/kept/a", 1, 3)
	s.numbers("/kept/b", 11, 13)
	s.numbers("/kept/deep/c", 21, 23)
	resume := `"` + a[1].String() + `"`
	for _, test := range []struct{ subscription, replay, want string }{
		{`"/kept/*"`, `{"/kept/*":-1}`, "90"},
		{`"/kept/*"`, `{"/kept/*":-2}`, "1 2 3 11 12 13 90"},
		{`"/kept/**"`, `{"/kept/**":-2}`, "1 2 3 11 12 13 21 22 23 90"},
		{`"/kept/*"`, `{"/kept/*":-2,"/kept/a":` + resume + `}`, "3 11 12 13 90"},
		{`"/kept/*"`, `{"/kept/*":-2,"/kept/a":` + number(t, a[1]) + `}`, "3 11 12 13 90"},
		{`"/kept/*"`, `{"/kept/*":-1,"/kept/a":` + resume + `}`, "3 90"},
		{`"/kept/*"`, `{"/kept/a":` + resume + `}`, "3 90"},
		{`"/kept/*"`, `{"/kept/*":-2,"/kept/a":-1}`, "11 12 13 90"},
		{`"/kept/*"`, `{"/kept/*":-2,"/kept/deep/c":-1}`, "1 2 3 11 12 13 90"},
		{`"/kept/**"`, `{"/kept/*":-2}`, "90"}, // another pattern's
		{`["/kept/*","/kept/a"]`, `{"/kept/*":-2,"/kept/a":` + resume + `}`, "3 11 12 13 90"},
		{`["/kept/*","/kept/**"]`, `{"/kept/*":-2,"/kept/**":-2}`, "1 2 3 11 12 13 21 22 23 90"},
		{`["/kept/*","/kept/*"]`, `{"/kept/a":` + resume + `}`, "3 90"},
		{`["/kept/a","/kept/a"]`, `{"/kept/a":` + resume + `}`, "3 90"},
		{`["/kept/a","/kept/b"]`, `{"/kept/a":-1,"/kept/b":-2}`, "11 12 13 90"},
	} {
		id := s.handshake()
		ok(t, s.post(subscribeFrom(id, `"s"`, test.subscription, test.replay)).with(t, `"s"`))
		defer func() { equal(t, test.subscription+" "+test.replay, s.got(id), test.want) }()
	}
	s.event("/kept/a", "90")
}

// Salesforce's extensions send the positions of all channels with every subscribe.
func TestReplay_members_about_other_channels_mean_nothing(t *testing.T) {
	s := newServer(t, replaying)
	s.numbers("/kept/a", 1, 2)
	id := s.handshake()
	ok(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-2,"/else":-2,"/else/*":-2,"/gone":"1-7","/gone/b":12345678901,"/meta/handshake":true,"/meta/subscribe":{}}`)).with(t, `"s"`))
	equal(t, "events", s.got(id), "1 2")
	equal(t, "subscribers of /else", s.b.Subscribers("/else"), 0)
}

func TestReplay_what_is_lost_is_said(t *testing.T) {
	s := newServer(t, replaying)
	first := s.numbers("/kept/a", 1, 5)[0]
	s.numbers("/kept/a", 6, 40)
	elsewhere := broker.Position{Epoch: first.Epoch + 1, Offset: 30}
	for _, lost := range []broker.Position{first, elsewhere} {
		n := number(t, lost)
		said := "400::The replayId {" + n + "} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."
		for _, test := range []struct{ subscription, replay, want string }{
			{`"/kept/a"`, `{"/kept/a":"` + lost.String() + `"}`, "410:/kept/a:History lost"},
			{`"/kept/a"`, `{"/kept/a":` + n + `}`, said},
			{`["/kept/b","/kept/a"]`, `{"/kept/b":-2,"/kept/a":"` + lost.String() + `"}`, "410:/kept/a:History lost"},
			{`["/kept/b","/kept/a"]`, `{"/kept/b":-2,"/kept/a":` + n + `}`, said},
			{`"/kept/*"`, `{"/kept/*":-2,"/kept/a":"` + lost.String() + `"}`, "410:/kept/a:History lost"},
			{`"/kept/**"`, `{"/kept/a":` + n + `}`, said},
		} {
			id := s.handshake()
			m := s.post(subscribeFrom(id, `"s"`, test.subscription, test.replay)).with(t, `"s"`)
			equal(t, test.replay, m.Get("error").Str, test.want)
			equal(t, "subscription", m.Get("subscription").Raw, test.subscription)
			for _, p := range []broker.Pattern{"/kept/a", "/kept/b", "/kept/*", "/kept/**"} {
				equal(t, "subscribers", s.b.Subscribers(p), 0)
			}
			// And so the client goes on.
			ok(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-2}`)).with(t, `"s"`))
			equal(t, "events", len(s.post(connectNow(id, `"c"`)).events()), 20)
			s.post(msg("/meta/disconnect", id, `"d"`, ""))
		}
	}
}

func TestReplay_nothing_is_subscribed_if_it_makes_no_sense(t *testing.T) {
	s := newServer(t, replaying)
	s.numbers("/kept/a", 1, 5)
	for _, test := range []struct{ replay, want string }{
		{`true`, "400:ext.replay:Not an object of channels"},
		{`-2`, "400:ext.replay:Not an object of channels"},
		{`["/kept/a"]`, "400:ext.replay:Not an object of channels"},
		{`"/kept/a"`, "400:ext.replay:Not an object of channels"},
		{`{"kept":-2}`, "405:kept:Invalid channel"},
		{`{"":-2}`, "405::Invalid channel"},
		{`{"/kept/#":-2}`, "405:/kept/_:Invalid channel"},
		{`{"/kept/a":null}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":true}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":{}}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":0}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":-3}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":1.5}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":9007199254740992}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":1e300}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":""}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":"0"}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":"yesterday"}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":"-"}`, "400:/kept/a:Replay begins with -1 or -2 or a position"},
		{`{"/kept/a":-2,"/else":"x"}`, "400:/else:Replay begins with -1 or -2 or a position"},
		{`{"/kept/*":"1-7"}`, "400:/kept/*:Replay of a wildcard begins with -1 or -2"},
		{`{"/kept/*":77}`, "400:/kept/*:Replay of a wildcard begins with -1 or -2"},
	} {
		id := s.handshake()
		fails(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, test.replay)).with(t, `"s"`), test.want)
		equal(t, "subscribers after "+test.replay, s.b.Subscribers("/kept/a"), 0)
	}
}

func TestReplay_has_limits_and_gaps(t *testing.T) {
	s := newServer(t, replaying, func(o *Options, _ *broker.Options) { o.MaxMessages = 8 })
	for _, c := range []string{"a", "b", "c", "d"} {
		s.numbers("/kept/four/"+c, 1, 1)
	}
	s.numbers("/kept/long", 1, 9)
	s.numbers("/kept/fits", 1, 8)
	for _, test := range []struct{ subscription, replay, want string }{
		{`"/**"`, `{"/**":-2}`, "400:/**:Not all of it has a history to replay"},
		{`"/kept/four/*"`, `{"/kept/four/*":-2}`, "413:/kept/four/*:More to replay than can wait for a session"},
		{`"/kept/*"`, `{"/kept/a":-1,"/kept/b":-1,"/kept/c":-1,"/kept/d":-2}`, "413:/kept/*:More to replay than can wait for a session"},
		{`"/kept/long"`, `{"/kept/long":-2}`, "413:/kept/long:More to replay than can wait for a session"},
	} {
		fails(t, s.post(subscribeFrom(s.handshake(), `"s"`, test.subscription, test.replay)).with(t, `"s"`), test.want)
	}
	id := s.handshake()
	ok(t, s.post(subscribeFrom(id, `"s"`, `["/kept/fits","/nothing/kept"]`, `{"/kept/fits":-2,"/nothing/kept":-2}`)).with(t, `"s"`))
	equal(t, "events", s.got(id), "1 2 3 4 5 6 7 8")
	ok(t, s.post(subscribeFrom(s.handshake(), `"s"`, `"/**"`, `{"/**":-1}`)).with(t, `"s"`))
}

func TestReplay_needs_the_right_to_read(t *testing.T) {
	s := newServer(t, replaying, func(_ *Options, bo *broker.Options) {
		bo.Authorizer = authorizerOf(func(act broker.Action, p broker.Pattern) error {
			if act == broker.ActRead {
				return broker.Errorf(broker.Forbidden, "nobody reads")
			}
			return nil
		})
	})
	s.event("/kept/a", "1")
	id := s.handshake()
	fails(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-2}`)).with(t, `"s"`), "403:/kept/a:Forbidden channel")
	ok(t, s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-1}`)).with(t, `"s"`))
}

type authorizerOf func(broker.Action, broker.Pattern) error

func (f authorizerOf) Authorize(_ context.Context, _ broker.Principal, act broker.Action, p broker.Pattern) error {
	return f(act, p)
}

func TestReplay_the_reply_tells_where_to_resume(t *testing.T) {
	s := newServer(t, replaying)
	at := s.numbers("/kept/a", 1, 3)
	id := s.handshakeReplay()
	m := s.post(subscribeFrom(id, `"s"`, `["/kept/a","/kept/b","/nothing/kept"]`, `{"/kept/a":-1,"/kept/b":-1,"/nothing/kept":-1}`)).with(t, `"s"`)
	equal(t, "ext", m.Get("ext").Raw, `{"replay":{"/kept/a":"`+at[2].String()+`"}}`)
	s.numbers("/kept/a", 4, 5) // lost with the session

	id = s.handshakeReplay()
	m = s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, m.Get("ext.replay").Raw)).with(t, `"s"`)
	equal(t, "ext", m.Get("ext").Raw, `{"replay":{"/kept/a":"`+at[2].String()+`"}}`)
	equal(t, "events", s.got(id), "4 5")
	m = s.post(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-1}`)).with(t, `"s"`)
	equal(t, "ext of a subscription that is there", m.Get("ext").Raw, "")
}

// A page that subscribes to several channels by polls does so in several requests at a time.
func TestReplay_several_at_a_time(t *testing.T) {
	gate := &gated{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), open: make(chan struct{})}
	s := newServer(t, replaying, func(_ *Options, bo *broker.Options) { bo.Engine = gate })
	for n := range 4 {
		s.event("/kept/"+strconv.Itoa(n), strconv.Itoa(n))
	}
	id := s.handshake()
	var answers []<-chan messages
	gate.shut.Store(true)
	before := s.h.counters.messages.Load()
	for n := range 4 {
		answers = append(answers, s.poll(subscribeFrom(id, `"s"`, fmt.Sprintf(`"/kept/%d"`, n), fmt.Sprintf(`{"/kept/%d":-2}`, n))))
	}
	eventually(t, func() bool { return s.h.counters.messages.Load() == before+4 })
	close(gate.open)
	for _, answer := range answers {
		ok(t, (<-answer).with(t, `"s"`))
	}
	got := strings.Fields(s.got(id))
	slices.Sort(got)
	equal(t, "events", strings.Join(got, " "), "0 1 2 3")
}

// A client of Salesforce's kind: it comes back with the number of the last event that it saw.
func TestReplay_what_was_published_meanwhile_comes_once_and_in_order(t *testing.T) {
	s := newServer(t, replaying)
	resume := func(id, begin string) {
		t.Helper()
		ok(t, s.post(subscribeFrom(id, `"s"`, `"/sf/a"`, `{"/sf/a":`+begin+`}`)).with(t, `"s"`))
	}
	id := s.handshake()
	resume(id, "-1")
	last, want := "-1", 1
	for range 5 {
		s.numbers("/sf/a", want, want+5)
		for _, m := range s.post(connectNow(id, `"c"`)) {
			if m.Get("channel").Str == "/sf/a" {
				equal(t, "number", m.Get("data.payload").Raw, strconv.Itoa(want))
				last = m.Get("data.event.replayId").Raw
				want++
			}
		}
		s.post(msg("/meta/disconnect", id, `"d"`, ""))
		s.numbers("/sf/a", want, want+9)
		id = s.handshake()
		resume(id, last)
		resume(id, last) // Faye repeats it
		for _, m := range s.post(connectNow(id, `"c"`)) {
			if m.Get("channel").Str == "/sf/a" {
				equal(t, "number", m.Get("data.payload").Raw, strconv.Itoa(want))
				last = m.Get("data.event.replayId").Raw
				want++
			}
		}
	}
	equal(t, "in the end", want, 81)
}

func FuzzReplay(f *testing.F) {
	for _, seed := range []string{
		`{"/a":-1}`, `{"/a":-2,"/b/*":-1}`, `{"/a":"3f9k2-17"}`, `{"/a":75153932305}`, `{"/a":"75153932305"}`, `{"/a":1e400}`, `{"/a":-0}`, `{"/**":-2,"/**":-1}`,
		`{"\u002fa":-2}`, `true`, `[]`, `{"/a":"-9223372036854775808"}`, `{"/meta/x":-2}`, `{"/a":"z-0"}`, `{"/a":"0-5"}`, `{"/a\n":-1}`,
	} {
		f.Add(seed, `"/a"`)
		f.Add(seed, `["/a","/*","/**","/b/c"]`)
	}
	f.Fuzz(func(t *testing.T, replay, subscription string) {
		if len(replay)+len(subscription) > 10_000 || !validJSON(replay) || !validJSON(subscription) {
			return
		}
		ms, err := parseJSON(nil, subscribeFrom("x", `"s"`, subscription, replay), 1)
		if err != nil {
			return // nested too deeply
		}
		patterns, f := subscriptions(ms[0].subscription)
		if !f.ok() {
			return
		}
		from, f := ms[0].starts()
		if !f.ok() {
			if text := gjson.ParseBytes(f.appendTo(nil)).Str; !errorGrammar.MatchString(text) {
				t.Fatalf("%s is refused with %s", replay, text)
			}
			if from != nil {
				t.Fatalf("%s is refused and taken", replay)
			}
			return
		}
		for i, sub := range from.subscriptions(patterns, true) {
			if sub.Pattern != patterns[i] || sub.Last != 0 && sub.Last != -1 || sub.BestEffort || !sub.Since.IsZero() || sub.IfNew != (from != nil) {
				t.Fatalf("%s for %s becomes %+v", replay, subscription, sub)
			}
			for c, st := range sub.Each {
				if !sub.Pattern.Matches(c) || st != from.channels[c] || !proper(st) {
					t.Fatalf("%s for %s begins %s with %+v", replay, subscription, c, st)
				}
			}
			if from == nil {
				continue
			}
			for c := range from.channels {
				if _, taken := sub.Each[c]; sub.Pattern.Matches(c) != taken {
					t.Fatalf("%s for %s: %s is forgotten", replay, subscription, c)
				}
			}
		}
	})
}

// proper tells whether st says one thing.
func proper(st broker.Start) bool {
	switch {
	case !st.Since.IsZero():
		p, err := broker.ParsePosition(st.Since.String())
		return err == nil && p == st.Since && st.Number == 0 && st.Last == 0
	case st.Number != 0:
		return st.Number > 0 && st.Number < 1<<53 && st.Last == 0
	default:
		return st.Last == 0 || st.Last == -1
	}
}

// gated is an engine whose History waits, once it is shut, until it is open.
type gated struct {
	broker.Engine
	shut atomic.Bool
	open chan struct{}
}

func (g *gated) History(ctx context.Context, c broker.Channel, r broker.Range) (broker.Page, error) {
	if g.shut.Load() {
		<-g.open
	}
	return g.Engine.History(ctx, c, r)
}

// However often an array names a pattern, it is asked for once: a body has room for ten thousand.
func TestSubscribe_takes_each_pattern_of_an_array_once(t *testing.T) {
	patterns, f := subscriptions(gjson.Parse(`["/a/*","/b","/a/*","/service/x","/b","/a/**"]`))
	if !f.ok() || !slices.Equal(patterns, []broker.Pattern{"/a/*", "/b", "/a/**"}) {
		t.Errorf("got %q, %+v", patterns, f)
	}
}

// A subscription lasts longer than the body it came in.
func TestSubscribe_keeps_nothing_of_the_body_but_its_patterns(t *testing.T) {
	body := `["/a/*","/b","` + strings.Repeat("x", 10_000) + `"]`
	for _, v := range []gjson.Result{gjson.Parse(body[:12] + "]"), gjson.Parse(body).Get("1")} {
		patterns, f := subscriptions(v)
		if !f.ok() || len(patterns) == 0 {
			t.Fatalf("got %q, %+v", patterns, f)
		}
		from := uintptr(unsafe.Pointer(unsafe.StringData(v.Raw)))
		for _, p := range patterns {
			if at := uintptr(unsafe.Pointer(unsafe.StringData(string(p)))) - from; at < uintptr(len(v.Raw)) {
				t.Errorf("%s is byte %d of what came", p, at)
			}
		}
	}
}
