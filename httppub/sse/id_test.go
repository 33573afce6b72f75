package sse

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// text is the id that t was taken from, or could have been.
func (t *token) text() string {
	raw := []byte{idVersion}
	if t.stamped {
		raw[0] |= idStamped
		raw = appendStamp(raw, t.stamp)
	}
	raw = append(raw, byte(len(t.named)))
	for _, hash := range slices.Sorted(maps.Keys(t.named)) {
		raw = appendNamed(raw, hash, t.named[hash])
	}
	if t.broken {
		raw[0] |= idBroken
	}
	if t.based {
		raw[0] |= idBased
		raw = appendBase(raw, t.base)
		for _, ch := range slices.Sorted(maps.Keys(t.wild)) {
			raw = appendWild(raw, ch, t.wild[ch])
		}
	}
	id, _ := sealID(nil, raw)
	return string(id)
}

func TestID_names_every_place(t *testing.T) {
	now := time.Now()
	c := cursor{
		wild: true, base: now.Add(-slack).UnixMilli(), stamp: func() uint32 { return 1 << 31 },
		named: []named{{"/a", hashOf("/a"), broker.Position{}}, {"/b", hashOf("/b"), broker.Position{}}},
	}
	at := func(offset uint64) broker.Position { return broker.Position{Epoch: 1<<64 - 1, Offset: offset} }
	c.pass(&broker.Message{Channel: "/b", Position: at(1<<64 - 1), Time: now})
	c.pass(&broker.Message{Channel: "/w/1", Position: at(1), Time: now})
	c.pass(&broker.Message{Channel: "/w/1", Position: at(2), Time: now})
	c.pass(&broker.Message{Channel: "/w/2", Position: at(1), Time: now.Add(time.Second)})
	var raw []byte
	id := string(c.appendID(nil, &raw))
	got, err := parseID(id)
	if err != nil {
		t.Fatal(err)
	}
	want := &token{
		stamped: true, stamp: 1 << 31, based: true, base: now.Add(time.Second - slack).UnixMilli(),
		named: map[uint64]broker.Position{hashOf("/a"): {}, hashOf("/b"): at(1<<64 - 1)},
		wild:  map[broker.Channel]broker.Position{"/w/1": at(2), "/w/2": at(1)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %+v, want %+v", id, got, want)
	}
}

func TestID_of_the_most_named_channels_fits(t *testing.T) {
	c := cursor{wild: true, stamp: func() uint32 { return 1 << 31 }}
	for i := range mostChannels {
		ch := broker.Channel(fmt.Sprintf("/%0*d", 500, i))
		c.named = append(c.named, named{ch, hashOf(ch), broker.Position{Epoch: 1 << 63, Offset: 1<<64 - 1}})
	}
	var raw []byte
	if id := c.appendID(nil, &raw); len(id) > maxID {
		t.Errorf("%d bytes", len(id))
	} else if _, err := parseID(string(id)); err != nil {
		t.Error(err)
	}
}

// A wildcard's channels that do not fit are left out once that is no loss, and until then the id says that it is broken.
func TestID_of_many_channels_stays_short(t *testing.T) {
	now := time.Now()
	c := cursor{wild: true, stamp: func() uint32 { return 0 }}
	var raw []byte
	parse := func() *token {
		t.Helper()
		id := string(c.appendID(nil, &raw))
		if len(id) > maxID {
			t.Fatalf("an id of %d bytes", len(id))
		}
		got, err := parseID(id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	pass := func(ch string) *token {
		c.pass(&broker.Message{Channel: broker.Channel(ch), Position: broker.Position{Epoch: 1, Offset: 1}, Time: now})
		return parse()
	}
	for i := range 50 { // a channel every second
		now = now.Add(time.Second)
		if got := pass(fmt.Sprintf("/slow/%d", i)); got.broken || len(got.wild) == 0 {
			t.Fatalf("%d: %+v", i, got)
		}
	}
	if n := len(parse().wild); n < int(minRemember/time.Second) || n > 50 {
		t.Errorf("%d channels", n)
	}
	for i := range maxRecent + 100 { // all at once
		pass(fmt.Sprintf("/quick/%d", i))
	}
	if !parse().broken || len(c.recent) > maxRecent {
		t.Errorf("%d channels in an id", len(parse().wild))
	}
	now = now.Add(minRemember - time.Second)
	if !pass("/later").broken {
		t.Error("it is good before what was left out is behind the base")
	}
	now = now.Add(2 * time.Second)
	if got := pass("/last"); got.broken || len(got.wild) != 2 {
		t.Errorf("%+v", got)
	}
	c.torn = c.base + 1
	if !parse().broken {
		t.Error("the base is not beyond what was left out")
	}
	if c.advance(now.UnixMilli() + 1); parse().broken {
		t.Error("the base is beyond what was left out")
	}
	if c.wildBytes != wildSize("/later")+wildSize("/last") {
		t.Errorf("%d bytes", c.wildBytes)
	}
}

// While a replay goes channel by channel, the base must not move: what it has of one channel says nothing of the next.
func TestID_base_waits_for_the_end_of_a_replay(t *testing.T) {
	now := time.Now()
	c := cursor{wild: true, base: 5, frozen: 2, stamp: func() uint32 { return 0 }}
	m := &broker.Message{Channel: "/a", Position: broker.Position{Epoch: 1, Offset: 1}, Time: now}
	for i, want := range []int64{5, 5, now.Add(-slack).UnixMilli()} {
		c.advance(now.UnixMilli())
		if c.pass(m); c.base != want {
			t.Errorf("the base after message %d is %d, want %d", i, c.base, want)
		}
	}
}

func TestID_that_is_none_is_refused(t *testing.T) {
	p := broker.Position{Epoch: 1, Offset: 1}
	good := (&token{named: map[uint64]broker.Position{1: p}}).text()
	if _, err := parseID(good); err != nil {
		t.Fatal(err)
	}
	seal := func(raw ...byte) string {
		id, _ := sealID(nil, raw)
		return string(id)
	}
	place := appendPosition(nil, p)
	wild := func(names ...string) string {
		raw := []byte{idVersion | idBased, 0, 1}
		for _, n := range names {
			raw = appendWild(raw, broker.Channel(n), p)
		}
		return seal(raw...)
	}
	if _, err := parseID(wild("/a", "/b")); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]string{
		"a_word": "hello", "a_number": "17", "short": "EA", "cut": good[:len(good)-1], "longer": good + "A", "padded": good + "=",
		"other_bit": strings.Replace(good, good[3:4], "_", 1), "too_long": strings.Repeat("A", maxID+1),
		"version": seal(0, 0), "flag": seal(idVersion|8, 0), "no_places": seal(idVersion), "too_few_places": seal(idVersion, 9),
		"twice":        seal(append(append(append([]byte{idVersion, 2, 0, 0, 0, 0, 0, 1}, place...), 0, 0, 0, 0, 0, 1), place...)...),
		"stamp_cut":    seal(idVersion|idStamped, 1, 2),
		"rest":         seal(idVersion, 0, 1),
		"no_channel":   wild("a"),
		"wild_twice":   wild("/a", "/a"),
		"zero":         seal(idVersion|idBased, 0, 1, 2, '/', 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"long_channel": wild("/" + strings.Repeat("a", broker.MaxChannelBytes)),
	} {
		if got, err := parseID(id); broker.KindOf(err) != broker.Invalid || err == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	p := broker.Position{Epoch: 1, Offset: 300}
	f.Add((&token{named: map[uint64]broker.Position{1: p, 2: {}}}).text(), true)
	f.Add((&token{stamped: true, stamp: 7, based: true, base: 1 << 40, wild: map[broker.Channel]broker.Position{"/a": p, "/b/c": p}}).text(), true)
	f.Add((&token{stamped: true, broken: true}).text(), true)
	f.Add("\x11\x00", false)
	f.Fuzz(func(t *testing.T, id string, sealed bool) {
		if !sealed { // so that the fuzzer gets past the check
			text, _ := sealID(nil, []byte(id))
			id = string(text)
		}
		got, err := parseID(id)
		if err != nil {
			if broker.KindOf(err) != broker.Invalid || len(broker.TextOf(err)) > 1000 {
				t.Errorf("%q: %v", id, err)
			}
			return
		}
		if len(got.named) > 0x7f {
			return // text writes one byte
		}
		again, err := parseID(got.text())
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%q is %+v, and again %+v, %v", id, got, again, err)
		}
	})
}
