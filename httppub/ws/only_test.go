package ws

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/broker/outbox"
	"waft/httppub/place"
)

// One socket is asked as the outbox asks it, and its twin for lists alone. Whatever comes between their messages, subscriptions that begin
// and end, replays that are queued or come by pages, pauses, places, windows that are full, the end: they send the same, and are where the
// other is.
func TestFill_of_a_message_alone_does_what_it_does_of_several(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			tw := newTwins(t, rand.New(rand.NewPCG(seed, 1)))
			for step := range 120 {
				did := tw.step()
				tw.compare(fmt.Sprintf("seed %d, step %d, after %s", seed, step, did))
				if t.Failed() {
					return
				}
			}
		})
	}
}

type twins struct {
	t      *testing.T
	r      *rand.Rand
	b      *broker.Broker
	places place.Options
	pair   [2]*socket // the second is the twin
	old    map[broker.Pattern]string
}

func newTwins(t *testing.T, r *rand.Rand) *twins {
	b := brokertest.New(t, broker.Options{})
	x := &twins{t: t, r: r, b: b, places: place.Options{Broker: b, Window: time.Hour}, old: map[broker.Pattern]string{}}
	window := int32(r.IntN(2) * 4)
	for i := range x.pair {
		x.pair[i] = &socket{window: window, session: brokertest.Open(t, b, broker.SessionOptions{})}
		x.pair[i].feed.begin(0)
	}
	return x
}

var twinPatterns = []broker.Pattern{"/a", "/b", "/*", "/**"}

// step does something at random to both, and tells what.
func (x *twins) step() string {
	p := twinPatterns[min(x.r.IntN(6), 5)%4]
	d := &x.pair[0].feed
	switch n := x.r.IntN(40); {
	case n < 4 && d.groups[p] == nil && !d.paused:
		from := x.old[p]
		if x.r.IntN(2) == 0 {
			from = ""
		}
		for i, s := range x.pair {
			g := &group{patterns: []broker.Pattern{p}, cursor: x.open(s, p, from)}
			if i == 0 {
				s.feed.add(g)
				continue
			}
			s.feed.groups[p] = g
			s.feed.all = append(s.feed.all, g)
			s.feed.thawing = slices.ContainsFunc(s.feed.all, func(g *group) bool { return g.cursor.Frozen() })
		}
		return fmt.Sprintf("subscribing to %s from %q", p, from)
	case n < 7 && d.groups[p] != nil:
		x.old[p] = d.groups[p].place()
		for _, s := range x.pair {
			s.feed.drop(p)
			s.session.Unsubscribe(p)
		}
		return fmt.Sprint("unsubscribing ", p)
	case n < 9:
		for _, s := range x.pair {
			s.feed.paused = !s.feed.paused
		}
		return "a pause, or its end"
	case n < 10:
		for _, s := range x.pair {
			s.feed.placeDue = true
		}
		return "a place is due"
	case n < 12 && !d.paging:
		pages := slices.Repeat([]*broker.Message{{Channel: "/old", Data: []byte(`1`)}}, 1+x.r.IntN(4))
		for _, s := range x.pair {
			s.feed.pages, s.feed.pagesOf, s.feed.taken, s.feed.paging = pages, new(place.Cursor), make(chan struct{}), true
		}
		return "pages"
	case n < 18 && len(d.unacked) > 0:
		some := 1 + x.r.IntN(len(d.unacked))
		for _, s := range x.pair {
			s.feed.unacked = s.feed.unacked[min(some, len(s.feed.unacked)):]
		}
		return "an acknowledgement"
	case n < 19 && x.r.IntN(10) == 0:
		for _, s := range x.pair {
			s.closing = true
		}
		return "a close"
	case n < 20:
		x.publish(&broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": []byte(`1`)}})
		return "a message without a form"
	default:
		ch := []broker.Channel{"/a", "/b"}[x.r.IntN(2)]
		count := 1 + max(0, x.r.IntN(5)-2)
		for i := range count {
			x.publish(&broker.Message{Channel: ch, Data: []byte(fmt.Sprint(i))})
		}
		return fmt.Sprintf("%d of %s", count, ch)
	}
}

func (x *twins) publish(m *broker.Message) {
	if _, err := x.b.Publish(x.t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *twins) open(s *socket, p broker.Pattern, from string) *place.Cursor {
	var last *place.Token
	if from != "" {
		last = x.parse(from, p)
	}
	o, err := x.places.Open(x.t.Context(), s.session, broker.Principal{}, []broker.Pattern{p}, last)
	if err != nil || o.Behind {
		x.t.Fatal(err, o)
	}
	return o.Cursor
}

func (x *twins) parse(text string, p broker.Pattern) *place.Token {
	token, err := place.Parse(text, []broker.Pattern{p})
	if err != nil {
		x.t.Fatal(err)
	}
	return token
}

var placeText = regexp.MustCompile(`"place":"[^"]*"`) // in it, channels are in any order

// spread keeps a socket from all that it does for one message, or for several that are for the same one subscription: it forgets the cursor,
// and what waits matched one pattern twice or, where there are several, is in another order of them each time.
func (x *twins) spread(s *socket) {
	s.feed.latest = ""
	ds := s.session.Drain(nil)
	for i := range ds {
		if d := &ds[i]; len(d.Also) == 0 {
			d.Also = []broker.Pattern{d.Pattern}
		} else if i%2 == 1 {
			d.Also = slices.Clone(d.Also)
			d.Pattern, d.Also[0] = d.Also[0], d.Pattern
		}
	}
	s.session.Return(ds)
}

// compare asks both for what they have once, and sometimes for all.
func (x *twins) compare(when string) {
	for all := x.r.IntN(2) == 0; ; {
		var scs [2]outbox.Scratch
		got := x.pair[0].Fill(&scs[0])
		x.spread(x.pair[1])
		want := x.pair[1].some(&scs[1])
		if a, b := placeText.ReplaceAllString(string(got), ""), placeText.ReplaceAllString(string(want), ""); a != b {
			x.t.Errorf("%s:\n got %q\nwant %q", when, a, b)
		}
		if len(got) > 0 && scs[0].Dry != scs[1].Dry {
			x.t.Errorf("%s: dry: %v, want %v", when, scs[0].Dry, scs[1].Dry)
		}
		if len(got) == 0 || !all || x.t.Failed() {
			break
		}
	}
	a, b := &x.pair[0].feed, &x.pair[1].feed
	if !slices.Equal(a.unacked, b.unacked) || a.turn != b.turn || a.thawing != b.thawing || x.pair[0].session.Pending() != x.pair[1].session.Pending() {
		x.t.Errorf("%s: %d unacknowledged, turn %v, thawing %v; want %d, %v, %v", when, len(a.unacked), a.turn, a.thawing, len(b.unacked), b.turn, b.thawing)
	}
	for p, g := range a.groups {
		if !reflect.DeepEqual(x.parse(g.place(), p), x.parse(b.groups[p].place(), p)) || g.cursor.Frozen() != b.groups[p].cursor.Frozen() {
			x.t.Errorf("%s: another place in %s", when, p)
		}
	}
}
