package broker_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// replayed is what a session has waiting, by channel.
func replayed(s *broker.Session) map[broker.Channel]string {
	got := map[broker.Channel]string{}
	for _, d := range s.Drain(nil) {
		got[d.Message.Channel] += strings.Trim(string(d.Message.Data), `"`)
	}
	return got
}

func TestSubscribe_replays_a_wildcard(t *testing.T) {
	b := brokertest.New(t, broker.Options{Retention: func(c broker.Channel) broker.Retention {
		if c == "/c/new/x" {
			return broker.Retention{}
		}
		return broker.Retention{Size: 3}
	}})
	at := map[string]broker.Position{}
	for _, p := range []string{"/c/a 1", "/c/b 1", "/c/a 2", "/c/a 3", "/c/b 2", "/c/a 4", "/other 9", "/c/d/e 7"} {
		c, text, _ := strings.Cut(p, " ")
		at[p] = brokertest.Publish(t, b, c, text).Position
	}
	number, _ := at["/c/a 3"].Number()
	type each = map[broker.Channel]broker.Start
	for _, c := range []struct {
		name      string
		p         broker.Pattern
		o         broker.SubscribeOptions
		want      string
		recovered bool
	}{
		{"all", "/c/*", broker.SubscribeOptions{Last: -1}, "/c/a:234 /c/b:12", false},
		{"all, deep", "/c/**", broker.SubscribeOptions{Last: -1}, "/c/a:234 /c/b:12 /c/d/e:7", false},
		{"the newest of each", "/c/*", broker.SubscribeOptions{Last: 1}, "/c/a:4 /c/b:2", false},
		{"resume", "/c/*", broker.SubscribeOptions{Last: -1, Each: each{"/c/a": {Since: at["/c/a 3"]}}}, "/c/a:4 /c/b:12", true},
		{"resume at a number", "/c/*", broker.SubscribeOptions{Last: -1, Each: each{"/c/a": {Number: number}}}, "/c/a:4 /c/b:12", true},
		{"resume, nothing else", "/c/*", broker.SubscribeOptions{Each: each{"/c/a": {Since: at["/c/a 3"]}}}, "/c/a:4", true},
		{"resume all", "/c/*", broker.SubscribeOptions{Last: -1, Each: each{"/c/a": {Since: at["/c/a 4"]}, "/c/b": {Since: at["/c/b 1"]}}}, "/c/b:2", true},
		{"one of them from now on", "/c/*", broker.SubscribeOptions{Last: -1, Each: each{"/c/a": {}}}, "/c/b:12", false},
		{"one of them whole", "/c/*", broker.SubscribeOptions{Each: each{"/c/a": {Last: -1}}}, "/c/a:234", false},
		{"one is lost, best effort", "/c/*", broker.SubscribeOptions{Last: -1, BestEffort: true, Each: each{"/c/a": {Since: broker.Position{Epoch: 7, Offset: 7}}}}, "/c/a:234 /c/b:12", false},
		{"a channel by a number", "/c/a", broker.SubscribeOptions{Each: each{"/c/a": {Number: number}}}, "/c/a:4", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := brokertest.Open(t, b, broker.SessionOptions{})
			done, err := subscribe(s, c.p, c.o)
			if err != nil {
				t.Fatal(err)
			}
			ds := s.Drain(nil)
			s.Return(ds)
			got := replayed(s)
			var list []string
			for _, c := range slices.Sorted(maps.Keys(got)) {
				list = append(list, string(c)+":"+got[c])
			}
			if strings.Join(list, " ") != c.want || done.Recovered != c.recovered || done.Replayed != len(ds) {
				t.Errorf("got %v, %+v; want %s, recovered %v", list, done, c.want, c.recovered)
			}
			if r := brokertest.Publish(t, b, "/c/new/x", "0"); c.p == "/c/**" && r.Receivers == 0 {
				t.Error("it is not live")
			}
			s.Close(nil)
		})
	}
}

func TestSubscribe_a_wildcard_that_cannot_be_replayed(t *testing.T) {
	b := brokertest.New(t, broker.Options{
		MaxReplayChannels: 3,
		NoHistory: func(p broker.Pattern) (broker.Pattern, bool) {
			return "/quiet/x/*", p.Overlaps("/quiet/x/*")
		},
	})
	at := brokertest.Publish(t, b, "/a/1", "1").Position
	for _, c := range []string{"/a/2", "/a/3", "/b/1", "/b/2", "/b/3", "/b/4"} {
		brokertest.Publish(t, b, c, "1")
	}
	foreign := broker.Position{Epoch: at.Epoch + 1, Offset: 1}
	number, _ := foreign.Number()
	type each = map[broker.Channel]broker.Start
	s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 2})
	for _, c := range []struct {
		name  string
		p     broker.Pattern
		o     broker.SubscribeOptions
		kind  broker.Kind
		about broker.Pattern
		text  string
	}{
		{"no history", "/quiet/**", broker.SubscribeOptions{Last: -1}, broker.Invalid, "/quiet/x/*", "keep no history for /quiet/x/*"},
		{"lost", "/a/*", broker.SubscribeOptions{Last: -1, Each: each{"/a/1": {Since: foreign}}}, broker.HistoryLost, "/a/1", "/a/1"},
		{"a lost number", "/a/*", broker.SubscribeOptions{Last: -1, Each: each{"/a/1": {Number: number}}}, broker.HistoryLost, "/a/1", "/a/1"},
		{"a channel that is gone", "/a/*", broker.SubscribeOptions{Each: each{"/a/gone": {Since: at}}}, broker.HistoryLost, "/a/gone", "/a/gone"},
		{"a number of a channel that is gone", "/a/gone", broker.SubscribeOptions{Each: each{"/a/gone": {Number: number}}}, broker.HistoryLost, "", "/a/gone"},
		{"too many messages", "/a/*", broker.SubscribeOptions{Last: -1}, broker.TooLarge, "", "2 messages"},
		{"too many channels", "/b/*", broker.SubscribeOptions{Last: 1}, broker.TooLarge, "", "more than 3 channels"},
		{"too many positions", "/b/*", broker.SubscribeOptions{Each: each{"/b/1": {}, "/b/2": {}, "/b/3": {}, "/b/4": {}}}, broker.TooLarge, "", "limit of 3 channels"},
		{"a channel of another pattern", "/a/*", broker.SubscribeOptions{Each: each{"/b/1": {Last: 1}}}, broker.Invalid, "", "/b/1 is no channel of /a/*"},
		{"a position for all", "/a/*", broker.SubscribeOptions{Since: at}, broker.Invalid, "", "a position is one channel's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := subscribe(s, c.p, c.o)
			about, _ := broker.AboutOf(err)
			if err == nil || broker.KindOf(err) != c.kind || about != c.about || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v (kind %v, about %q), want kind %v about %q", err, broker.KindOf(err), about, c.kind, c.about)
			}
		})
	}
	brokertest.Publish(t, b, "/a/1", "2")
	if left := s.Subscriptions(); len(left) != 0 || s.Pending() != 0 {
		t.Errorf("left with %q and %d deliveries", left, s.Pending())
	}
	if _, err := subscribe(s, "/quiet/**", broker.SubscribeOptions{Last: -1, BestEffort: true}); err != nil {
		t.Errorf("best effort: %v", err)
	}
}

func TestSubscribeAll(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var last broker.Position
	for i := range 3 {
		last = brokertest.Publish(t, b, "/c/a", fmt.Sprint(i)).Position
		brokertest.Publish(t, b, "/c/b", fmt.Sprint(i))
	}
	all := broker.SubscribeOptions{Last: -1}
	t.Run("a channel that several match comes once, to all of them", func(t *testing.T) {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		done, err := s.SubscribeAll(ctx, broker.Principal{}, []broker.Subscription{
			{Pattern: "/c/*", SubscribeOptions: all},
			{Pattern: "/c/a", SubscribeOptions: broker.SubscribeOptions{Since: broker.Position{Epoch: last.Epoch, Offset: 1}}},
			{Pattern: "/c/**"},
			{Pattern: "/c/*", SubscribeOptions: broker.SubscribeOptions{Last: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !done[1].Recovered || done[1].Replayed != 2 || done[0].Replayed != 5 || done[2].Replayed != 0 || !done[3].Already {
			t.Errorf("got %+v", done)
		}
		ds := s.Drain(nil)
		s.Return(ds)
		if got := fmt.Sprint(replayed(s)); got != "map[/c/a:12 /c/b:012]" {
			t.Errorf("got %s", got)
		}
		if d := ds[0]; d.Pattern != "/c/*" || !slices.Equal(d.Also, []broker.Pattern{"/c/a"}) {
			t.Errorf("%s comes for %q and %q", d.Message.Channel, d.Pattern, d.Also)
		}
		if r := brokertest.Publish(t, b, "/c/b", "3"); r.Receivers != 1 || s.Pending() != 1 {
			t.Errorf("%d receivers, %d waiting", r.Receivers, s.Pending())
		}
	})
	t.Run("none is made if one fails, and nothing is queued", func(t *testing.T) {
		before := b.Stats().Subscriptions
		s := brokertest.Open(t, b, broker.SessionOptions{MaxSubscriptions: 3})
		for _, bad := range []broker.Subscription{
			{Pattern: "/c/b", SubscribeOptions: broker.SubscribeOptions{Since: broker.Position{Epoch: 1, Offset: 1}}},
			{Pattern: "/meta/x"},
			{Pattern: "/fourth"},
		} {
			_, err := s.SubscribeAll(ctx, broker.Principal{}, []broker.Subscription{{Pattern: "/c/a", SubscribeOptions: all}, {Pattern: "/x"}, {Pattern: "/y"}, bad})
			if e, ok := errors.AsType[*broker.BatchError](err); !ok || e.Index != 3 {
				t.Errorf("%s: %v", bad.Pattern, err)
			}
			if len(s.Subscriptions()) != 0 || s.Pending() != 0 || b.Stats().Subscriptions != before {
				t.Errorf("%s: left with %q, %d waiting", bad.Pattern, s.Subscriptions(), s.Pending())
			}
		}
	})
}

func TestSubscribe_IfNew_leaves_a_subscription_alone(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	brokertest.Publish(t, b, "/a", "1")
	s := brokertest.Open(t, b, broker.SessionOptions{})
	for i, want := range []string{"1", ""} {
		done, err := subscribe(s, "/a", broker.SubscribeOptions{Last: -1, IfNew: true})
		if err != nil || done.Already != (i == 1) || replayed(s)["/a"] != want {
			t.Errorf("time %d: %+v, %v", i, done, err)
		}
	}
}

func TestSubscribe_Mark_tells_where_it_begins(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e, Retention: func(c broker.Channel) broker.Retention {
		return broker.Retention{Size: 10 * (1 - strings.Count(string(c), "none"))}
	}})
	first := brokertest.Publish(t, b, "/a", "1").Position
	brokertest.Publish(t, b, "/none", "1")
	for _, c := range []struct {
		channel string
		also    string // subscribed before
		want    broker.Position
	}{
		{"/a", "", first}, {"/a", "/**", broker.Position{}}, {"/none", "", broker.Position{}}, {"/fresh", "", broker.Position{}},
	} {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		if c.also != "" {
			brokertest.Subscribe(t, s, c.also)
			c.want = brokertest.Publish(t, b, c.channel, "2").Position
			s.Drain(nil)
		}
		times := 0
		e.after = func() { // between the mark and the hold
			if times++; times == 1 {
				brokertest.Publish(t, b, c.channel, "3")
			}
		}
		done, err := subscribe(s, broker.Pattern(c.channel), broker.SubscribeOptions{Mark: true})
		e.after = nil
		if err != nil || done.From != c.want || done.Recovered {
			t.Errorf("%s: %+v, %v; want from %v", c.channel, done, err, c.want)
		}
		if got := replayed(s)[broker.Channel(c.channel)]; c.channel != "/none" && got != "3" {
			t.Errorf("%s: what came between was %q", c.channel, got)
		}
		if done, err := subscribe(s, broker.Pattern(c.channel), broker.SubscribeOptions{Mark: true}); err != nil || !done.From.IsZero() {
			t.Errorf("%s again: %+v, %v", c.channel, done, err)
		}
	}
}

// A replay of the newest one holds back what another subscription is owed, and must hand it out.
func TestSubscribe_what_was_held_is_not_lost_for_being_older_than_the_page(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/a/**")
	e.before = func() {
		for _, text := range []string{"1", "2", "3"} {
			brokertest.Publish(t, b, "/a/b", text)
		}
	}
	if _, err := subscribe(s, "/a/b", broker.SubscribeOptions{Last: 1}); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, drain(s), "1", "2", "3")
}

func TestSubscribe_a_failed_replay_gives_others_what_they_are_owed(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/a/**")
	e.before = func() {
		brokertest.Publish(t, b, "/a/b", "1")
		brokertest.Publish(t, b, "/c", "2")
	}
	_, err := s.SubscribeAll(ctx, broker.Principal{}, []broker.Subscription{
		{Pattern: "/c"},
		{Pattern: "/a/b", SubscribeOptions: broker.SubscribeOptions{Since: broker.Position{Epoch: 1, Offset: 1}}},
	})
	if broker.KindOf(err) != broker.HistoryLost {
		t.Errorf("got %v", err)
	}
	ds := s.Drain(nil)
	if len(ds) != 1 || ds[0].Pattern != "/a/**" || ds[0].Also != nil {
		t.Errorf("got %+v", ds)
	}
}

// The notice that an item was removed must not come behind the item that was published in its place.
func TestSubscribe_a_retraction_during_a_replay_keeps_its_place(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	item := func() {
		m := &broker.Message{ID: "x", Channel: "/a", Data: []byte("1")}
		if _, err := b.Publish(ctx, broker.Principal{}, m, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	item()
	e.before = func() {
		if err := b.Remove(ctx, broker.Principal{}, "/a", "x", true); err != nil {
			t.Fatal(err)
		}
		item()
	}
	s := brokertest.Open(t, b, broker.SessionOptions{})
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Last: -1}); err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, d := range s.Drain(nil) {
		got = append(got, d.Message.Retracted)
	}
	if !slices.Equal(got, []bool{true, false}) {
		t.Errorf("retracted: %v", got)
	}
}

func TestSubscribe_one_replay_of_a_session_at_a_time(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	e.before = func() {
		e.before = nil
		if _, err := subscribe(s, "/b", broker.SubscribeOptions{Last: 1}); broker.KindOf(err) != broker.Conflict {
			t.Errorf("a replay during another: %v", err)
		}
		if _, err := subscribe(s, "/b", broker.SubscribeOptions{}); err != nil {
			t.Errorf("a subscription during a replay: %v", err)
		}
	}
	for range 2 {
		if _, err := subscribe(s, "/a/**", broker.SubscribeOptions{Last: 1}); err != nil {
			t.Error(err)
		}
	}
}

// TestReplay_of_a_wildcard_meets_live resumes a wildcard over and over while 50 channels are published to, some of them for
// the first time: what a reader has seen of a channel in all its sessions is a gapless run of offsets from 1.
func TestReplay_of_a_wildcard_meets_live(t *testing.T) {
	const channels, each = 50, 40
	b := brokertest.New(t, broker.Options{Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: each} }})
	var publishers, readers sync.WaitGroup
	for i := range channels {
		publishers.Go(func() {
			for n := range each {
				brokertest.Publish(t, b, fmt.Sprintf("/c/%d", i), fmt.Sprint(n))
			}
		})
	}
	for r := range 4 {
		readers.Go(func() {
			had := map[broker.Channel]broker.Start{}
			for total := 0; total < channels*each; {
				s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: channels * each, MaxBytes: 1 << 30})
				if _, err := subscribe(s, "/c/*", broker.SubscribeOptions{Last: -1, Each: maps.Clone(had)}); err != nil {
					t.Errorf("resume: %v", err)
					return
				}
				ds, err := s.Receive(ctx, 25*(r+1))
				if err != nil {
					t.Error(err)
					return
				}
				for _, d := range ds {
					m := d.Message
					if before := had[m.Channel].Since.Offset; m.Position.Offset != before+1 {
						t.Errorf("%s: offset %d after %d", m.Channel, m.Position.Offset, before)
						return
					}
					had[m.Channel] = broker.Start{Since: m.Position}
					total++
				}
				s.Close(nil)
			}
		})
	}
	publishers.Wait()
	readers.Wait()
}

func TestSubscribe_a_reader_that_is_ahead_of_the_hold_is_not_given_what_it_had(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	at := brokertest.Publish(t, b, "/a", "0").Position
	at.Offset++ // the next, which it has by the time its history is read
	e.before = func() {
		brokertest.Publish(t, b, "/a", "1")
		brokertest.Publish(t, b, "/a", "2")
	}
	s := brokertest.Open(t, b, broker.SessionOptions{})
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Since: at}); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, drain(s), "2")
}

// A channel whose history was evicted and begun anew while its replay was read: the old epoch comes before the new.
func TestSubscribe_an_old_epoch_in_the_hold_comes_before_the_page(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{MaxChannels: 1})}
	b := brokertest.New(t, broker.Options{Engine: e})
	brokertest.Publish(t, b, "/a", "0")
	e.before = func() {
		brokertest.Publish(t, b, "/a", "1")
		brokertest.Publish(t, b, "/other", "9") // evicts /a
		brokertest.Publish(t, b, "/a", "2")
	}
	s := brokertest.Open(t, b, broker.SessionOptions{})
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Last: -1}); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, drain(s), "1", "2")
}
