package place

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

func TestID_names_every_place(t *testing.T) {
	now := time.Now()
	c := Cursor{
		wild: true, base: now.Add(-slack).UnixMilli(), stamp: func() uint32 { return 1 << 31 },
		named: []named{{"/a", hashOf("/a"), broker.Position{}}, {"/b", hashOf("/b"), broker.Position{}}},
	}
	at := func(offset uint64) broker.Position { return broker.Position{Epoch: 1<<64 - 1, Offset: offset} }
	c.Pass(&broker.Message{Channel: "/b", Position: at(1<<64 - 1), Time: now})
	c.Pass(&broker.Message{Channel: "/w/1", Position: at(1), Time: now})
	c.Pass(&broker.Message{Channel: "/w/1", Position: at(2), Time: now})
	c.Pass(&broker.Message{Channel: "/w/2", Position: at(1), Time: now.Add(time.Second)})
	var raw []byte
	id := string(c.Append(nil, &raw))
	got, err := parse(id)
	if err != nil {
		t.Fatal(err)
	}
	want := &Token{
		Stamped: true, Stamp: 1 << 31, Based: true, Base: now.Add(time.Second - slack).UnixMilli(),
		named: map[uint64]broker.Position{hashOf("/a"): {}, hashOf("/b"): at(1<<64 - 1)},
		wild:  map[broker.Channel]broker.Position{"/w/1": at(2), "/w/2": at(1)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %+v, want %+v", id, got, want)
	}
}

func TestID_of_the_most_named_channels_fits(t *testing.T) {
	c := Cursor{wild: true, stamp: func() uint32 { return 1 << 31 }}
	for i := range MostChannels {
		ch := broker.Channel(fmt.Sprintf("/%0*d", 500, i))
		c.named = append(c.named, named{ch, hashOf(ch), broker.Position{Epoch: 1 << 63, Offset: 1<<64 - 1}})
	}
	var raw []byte
	if id := c.Append(nil, &raw); len(id) > maxText {
		t.Errorf("%d bytes", len(id))
	} else if _, err := parse(string(id)); err != nil {
		t.Error(err)
	}
}

// A wildcard's channels that do not fit are left out once that is no loss, and until then the id says that it is broken.
func TestID_of_many_channels_stays_short(t *testing.T) {
	now := time.Now()
	c := Cursor{wild: true, stamp: func() uint32 { return 0 }}
	var raw []byte
	parse := func() *Token {
		t.Helper()
		id := string(c.Append(nil, &raw))
		if len(id) > maxText {
			t.Fatalf("an id of %d bytes", len(id))
		}
		got, err := parse(id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	pass := func(ch string) *Token {
		c.Pass(&broker.Message{Channel: broker.Channel(ch), Position: broker.Position{Epoch: 1, Offset: 1}, Time: now})
		return parse()
	}
	for i := range 50 { // a channel every second
		now = now.Add(time.Second)
		if got := pass(fmt.Sprintf("/slow/%d", i)); got.Broken || len(got.wild) == 0 {
			t.Fatalf("%d: %+v", i, got)
		}
	}
	if n := len(parse().wild); n < int(minRemember/time.Second) || n > 50 {
		t.Errorf("%d channels", n)
	}
	for i := range maxRecent + 100 { // all at once
		pass(fmt.Sprintf("/quick/%d", i))
	}
	if !parse().Broken || len(c.recent) > maxRecent {
		t.Errorf("%d channels in an id", len(parse().wild))
	}
	now = now.Add(minRemember - time.Second)
	if !pass("/later").Broken {
		t.Error("it is good before what was left out is behind the base")
	}
	now = now.Add(2 * time.Second)
	if got := pass("/last"); got.Broken || len(got.wild) != 2 {
		t.Errorf("%+v", got)
	}
	c.torn = c.base + 1
	if !parse().Broken {
		t.Error("the base is not beyond what was left out")
	}
	if c.Advance(now.UnixMilli() + 1); parse().Broken {
		t.Error("the base is beyond what was left out")
	}
	if c.wildBytes != wildSize("/later")+wildSize("/last") {
		t.Errorf("%d bytes", c.wildBytes)
	}
}

// While a replay goes channel by channel, the base must not move: what it has of one channel says nothing of the next.
func TestID_base_waits_for_the_end_of_a_replay(t *testing.T) {
	now := time.Now()
	c := Cursor{wild: true, base: 5, frozen: 2, stamp: func() uint32 { return 0 }}
	m := &broker.Message{Channel: "/a", Position: broker.Position{Epoch: 1, Offset: 1}, Time: now}
	for i, want := range []int64{5, 5, now.Add(-slack).UnixMilli()} {
		c.Advance(now.UnixMilli())
		if c.Pass(m); c.base != want {
			t.Errorf("the base after message %d is %d, want %d", i, c.base, want)
		}
	}
}

func TestID_that_is_none_is_refused(t *testing.T) {
	p := broker.Position{Epoch: 1, Offset: 1}
	good := (&Token{named: map[uint64]broker.Position{1: p}}).String()
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	seal := func(raw ...byte) string {
		id, _ := seal(nil, raw)
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
	if _, err := parse(wild("/a", "/b")); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]string{
		"a_word": "hello", "a_number": "17", "short": "EA", "cut": good[:len(good)-1], "longer": good + "A", "padded": good + "=",
		"other_bit": strings.Replace(good, good[3:4], "_", 1), "too_long": strings.Repeat("A", maxText+1),
		"version": seal(0, 0), "flag": seal(idVersion|8, 0), "no_places": seal(idVersion), "too_few_places": seal(idVersion, 9),
		"twice":        seal(append(append(append([]byte{idVersion, 2, 0, 0, 0, 0, 0, 1}, place...), 0, 0, 0, 0, 0, 1), place...)...),
		"stamp_cut":    seal(idVersion|idStamped, 1, 2),
		"rest":         seal(idVersion, 0, 1),
		"no_channel":   wild("a"),
		"wild_twice":   wild("/a", "/a"),
		"zero":         seal(idVersion|idBased, 0, 1, 2, '/', 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"long_channel": wild("/" + strings.Repeat("a", broker.MaxChannelBytes)),
	} {
		if got, err := parse(id); broker.KindOf(err) != broker.Invalid || err == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	p := broker.Position{Epoch: 1, Offset: 300}
	f.Add((&Token{named: map[uint64]broker.Position{1: p, 2: {}}}).String(), true)
	f.Add((&Token{Stamped: true, Stamp: 7, Based: true, Base: 1 << 40, wild: map[broker.Channel]broker.Position{"/a": p, "/b/c": p}}).String(), true)
	f.Add((&Token{Stamped: true, Broken: true}).String(), true)
	f.Add("\x11\x00", false)
	f.Fuzz(func(t *testing.T, id string, sealed bool) {
		if !sealed { // so that the fuzzer gets past the check
			text, _ := seal(nil, []byte(id))
			id = string(text)
		}
		got, err := parse(id)
		if err != nil {
			if broker.KindOf(err) != broker.Invalid || len(broker.TextOf(err)) > 1000 {
				t.Errorf("%q: %v", id, err)
			}
			return
		}
		again, err := parse(got.String())
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%q is %+v, and again %+v, %v", id, got, again, err)
		}
	})
}

func TestID_letters_are_base_64(t *testing.T) {
	for n := range 200 {
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(rand.Uint32())
		}
		if got, want := string(appendText([]byte("id: "), raw)), "id: "+idText.EncodeToString(raw); got != want {
			t.Fatalf("%x is %s, want %s", raw, got, want)
		}
	}
}

func TestID_of_a_message_is_that_of_a_stream_of_its_channel(t *testing.T) {
	m := &broker.Message{Channel: "/a", Position: broker.Position{Epoch: 1 << 63, Offset: 1 << 40}}
	c := Cursor{named: []named{{channel: "/a", hash: hashOf("/a")}}, stamp: func() uint32 { return 1 }}
	c.Pass(m)
	var raw []byte
	if got, want := string(AppendSingle(nil, m)), string(c.Append(nil, &raw)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestToken_of_what_was_seen_counts_before_the_place(t *testing.T) {
	at := func(offset uint64) broker.Position { return broker.Position{Epoch: 1, Offset: offset} }
	patterns := []broker.Pattern{"/a", "/w/**"}
	based := func() *Token {
		return &Token{Based: true, named: map[uint64]broker.Position{hashOf("/a"): at(1)}, wild: map[broker.Channel]broker.Position{"/w/x": at(1)}}
	}
	for name, c := range map[string]struct {
		of      *Token
		channel broker.Channel
		ok      bool
	}{
		"a_channel":                   {based(), "/a", true},
		"a_channel_without_a_place":   {nil, "/a", true},
		"a_channel_of_a_wildcard":     {based(), "/w/x", true},
		"a_new_one_of_it":             {based(), "/w/y", true},
		"one_whose_place_is_not_told": {nil, "/w/x", false},
		"one_that_is_not_asked_for":   {based(), "/b", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := c.of.See(c.channel, at(7), patterns)
			if ok != c.ok {
				t.Fatal(ok)
			}
			if place := max(got.named[hashOf(c.channel)].Offset, got.wild[c.channel].Offset); ok && place != 7 {
				t.Errorf("%d", place)
			}
		})
	}
}
