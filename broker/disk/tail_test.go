package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// with gives a started engine with options, that delivers to nobody.
func with(t testing.TB, d *DB, o EngineOptions) *Engine {
	t.Helper()
	e, err := d.Engine("default", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(func(*broker.Message) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTail_ten_thousand_readers_who_resume_ask_the_disk_once(t *testing.T) {
	o := inMemory()
	aged := broker.Append{Keep: broker.Retention{Size: 100, Age: time.Hour}}
	d := openDB(t, o)
	e := start(t, d)
	var at []broker.Position
	for i := range 150 {
		at = append(at, publish(t, e, "/a", fmt.Sprint(i), aged).Position)
	}
	storm := func(name string, misses uint64) {
		before := d.Stats()
		for i := range 10_000 {
			behind := i % 90
			p, err := e.History(context.Background(), "/a", broker.Range{After: at[149-behind]})
			if err != nil || len(p.Messages) != behind {
				t.Fatalf("%s: %d messages, want %d: %v", name, len(p.Messages), behind, err)
			}
		}
		if s := d.Stats(); s.TailMisses-before.TailMisses != misses || s.TailHits-before.TailHits != 10_000-misses || s.Tail == 0 {
			t.Errorf("%s: %d hits and %d misses", name, s.TailHits-before.TailHits, s.TailMisses-before.TailMisses)
		}
	}
	storm("published here", 0)
	d.Close()
	d = openDB(t, o)
	e = start(t, d)
	if _, err := e.History(context.Background(), "/a", broker.Range{}); err != nil {
		t.Fatal(err)
	}
	storm("read once after a restart", 0)
	publish(t, e, "/b", "x", aged)
	storm("somebody published elsewhere", 0)
}

// One reader's message is every reader's: its wire forms are made once.
func TestTail_readers_share_the_message_that_was_delivered(t *testing.T) {
	e := start(t, openDB(t, inMemory()))
	m := &broker.Message{Channel: "/a", ID: "1", Data: []byte("1"), Time: time.Now()}
	if _, err := e.Publish(context.Background(), broker.Append{Message: m, Keep: keep}); err != nil {
		t.Fatal(err)
	}
	p, err := e.History(context.Background(), "/a", broker.Range{})
	if err != nil || len(p.Messages) != 1 || p.Messages[0] != m {
		t.Errorf("the history has another message: %+v, %v", p, err)
	}
}

func TestTail_is_bounded(t *testing.T) {
	d := openDB(t, inMemory())
	e := with(t, d, EngineOptions{MaxTail: 10_000})
	for i := range 200 {
		publish(t, e, broker.Channel(fmt.Sprintf("/c/%d", i%20)), fmt.Sprint(i), broker.Append{Keep: keep})
		if n := d.Stats().Tail; n > 10_000 {
			t.Fatalf("%d bytes are in memory", n)
		}
	}
	for i := range 20 {
		if p, err := e.History(context.Background(), broker.Channel(fmt.Sprintf("/c/%d", i)), broker.Range{}); err != nil || len(p.Messages) != 10 {
			t.Fatalf("%d messages, %v", len(p.Messages), err)
		}
		if n := d.Stats().Tail; n > 10_000 {
			t.Fatalf("%d bytes are in memory", n)
		}
	}
	for i := range 200 { // one channel has its share, and its newest
		publish(t, e, "/one", fmt.Sprint(i), broker.Append{Keep: broker.Retention{Size: 1000}})
	}
	if n := e.channels["/one"].tail.bytes; n > 2_500 || n < 2_000 {
		t.Errorf("one channel has %d bytes", n)
	}
	before := d.Stats()
	p, err := e.History(context.Background(), "/one", broker.Range{Limit: 3, Newest: true})
	if err != nil || len(p.Messages) != 3 || p.Messages[2].ID != "199" || p.Index != 197 || d.Stats().TailHits != before.TailHits+1 {
		t.Errorf("the newest are %+v, %v", p, err)
	}
	e.mu.Lock()
	for _, ch := range e.channels {
		e.forget(ch)
	}
	e.mu.Unlock()
	if s := d.Stats(); s.Tail != 0 || e.tails.used.Len() != 0 {
		t.Errorf("%d bytes are in memory of channels that are not", s.Tail)
	}
}

// The memory engine has no second place where messages could be: whatever is done, the two must say the same.
func TestTail_says_what_the_memory_engine_says(t *testing.T) {
	for seed := range uint64(48) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { compare(t, seed, 200) }) })
	}
}

func compare(t *testing.T, seed uint64, steps int) {
	const long = 10_000 * time.Hour
	random := rand.New(rand.NewPCG(seed, 7))
	files := vfs.NewMem()
	d := openDB(t, Options{Dir: "data", fs: files, Sweep: []time.Duration{20 * time.Second, long}[seed%2], Window: long, Forget: long})
	e := with(t, d, EngineOptions{MaxTail: []int64{1200, 5000, 20_000, 1 << 20}[seed%4], MaxCached: []int{1, 100}[seed/4%2]})
	sizes := []int{3, 10, 40, 0}
	if e.opts.MaxCached == 1 { // then a channel that keeps nothing is forgotten at once, which the memory engine does not do
		sizes = sizes[:3]
	}
	m := broker.NewMemoryEngine(broker.MemoryOptions{Sweep: long, Window: long})
	if err := m.Start(func(*broker.Message) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	channels := []broker.Channel{"/a", "/b", "/c"}
	epochs := map[broker.Engine]map[broker.Channel]uint64{e: {}, m: {}}
	keep := broker.Retention{Size: 10, Age: []time.Duration{0, 90 * time.Second}[seed/8%2]} // the disk engine forgets an age with its rule
	for step := range steps {
		c := channels[random.IntN(len(channels))]
		id := fmt.Sprint(random.IntN(12))
		switch n := random.IntN(20); {
		case n == 1:
			time.Sleep(time.Duration(random.IntN(60)) * time.Second)
			synctest.Wait()
		case n == 0:
			keep = broker.Retention{Size: sizes[random.IntN(len(sizes))], Bytes: []int64{0, 0, 1500}[random.IntN(3)], Age: keep.Age}
		case n < 8:
			when, replace := time.Now(), random.IntN(2) == 0
			if !replace { // of several with one id the engines remove different ones
				id = fmt.Sprint("step ", step)
			}
			for _, engine := range []broker.Engine{e, m} {
				message := &broker.Message{Channel: c, ID: id, Data: []byte(`"` + id + `"`), Time: when}
				r, err := engine.Publish(context.Background(), broker.Append{Message: message, Keep: keep, Replace: replace})
				if err != nil {
					t.Fatal(err)
				}
				epochs[engine][c] = r.Position.Epoch
			}
		case n < 10:
			err1, err2 := e.Remove(context.Background(), c, id, true), m.Remove(context.Background(), c, id, true)
			if (err1 == nil) != (err2 == nil) {
				t.Fatalf("step %d: removing %s: %v, %v", step, id, err1, err2)
			}
		default:
			r := broker.Range{Limit: random.IntN(5), Newest: random.IntN(2) == 0}
			if random.IntN(4) == 0 {
				r.IDs = []string{id, "3", "5"}[:random.IntN(4)]
			}
			after, before := uint64(random.IntN(40)), uint64(random.IntN(40))
			one, two := random.IntN(2) == 0, random.IntN(4) == 0
			ask := func(engine broker.Engine) string {
				r := r
				if epoch := epochs[engine][c]; epoch != 0 {
					if one {
						r.After = broker.Position{Epoch: epoch, Offset: after}
					}
					if two {
						r.Before = broker.Position{Epoch: epoch, Offset: before}
					}
				}
				p, err := engine.History(context.Background(), c, r)
				if err != nil {
					return broker.KindOf(err).String()
				}
				text := fmt.Sprintf("total %d, index %d, last %d, complete %v:", p.Total, p.Index, p.Last.Offset, p.Complete)
				for _, m := range p.Messages {
					text += fmt.Sprintf(" %s@%d", m.ID, m.Position.Offset)
				}
				return text
			}
			if got, want := ask(e), ask(m); got != want {
				t.Fatalf("step %d: %s %+v after %d %v before %d %v:\n got %s\nwant %s", step, c, r, after, one, before, two, got, want)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(t, "data", files) {
		t.Error(fault)
	}
}

// Readers fill the tail while publishers and removers change what is kept.
func TestTail_has_nothing_that_was_removed_while_it_was_read(t *testing.T) {
	d := openDB(t, inMemory())
	e := with(t, d, EngineOptions{MaxTail: 3000})
	deep := broker.Append{Keep: broker.Retention{Size: 1000}, Replace: true}
	var working sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		working.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				p, err := e.History(context.Background(), "/a", broker.Range{Limit: 8, Newest: true})
				if err != nil {
					t.Error(err)
					return
				}
				var ids []string
				for _, m := range p.Messages {
					ids = append(ids, m.ID)
				}
				slices.Sort(ids)
				if len(slices.Compact(ids)) != len(p.Messages) {
					t.Errorf("an item is there twice: %q", ids)
					return
				}
				_, _ = e.History(context.Background(), "/b", broker.Range{}) // takes the other's place
			}
		})
	}
	for i := range 400 {
		publish(t, e, "/a", fmt.Sprint(i%9), deep)
		publish(t, e, "/b", fmt.Sprint(i%9), deep)
		if i%7 == 0 {
			if err := e.Remove(context.Background(), "/a", fmt.Sprint(i%9), false); err != nil {
				t.Error(err)
			}
			p, err := e.History(context.Background(), "/a", broker.Range{})
			if err != nil || slices.ContainsFunc(p.Messages, func(m *broker.Message) bool { return m.ID == fmt.Sprint(i%9) }) {
				t.Errorf("what was removed is there: %v", err)
			}
		}
	}
	close(done)
	working.Wait()
}

// at gives messages with these offsets.
func at(offsets ...uint64) (list []*broker.Message) {
	for _, o := range offsets {
		list = append(list, &broker.Message{ID: fmt.Sprint(o), Position: broker.Position{Offset: o}})
	}
	return list
}

func TestTail_what_was_read_is_put_in_only_if_it_is_still_so(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(c *tails, of *tail)
		want      string // what is in memory, and behind what
	}{
		"nothing":   {func(*tails, *tail) {}, "[3 4 5] 2"},
		"a removal": {func(c *tails, of *tail) { c.apply(of, &pending{removed: 4, head: head{last: 5, count: 3}}) }, "[5] 4"},
		"a publish": {func(c *tails, of *tail) {
			c.apply(of, &pending{message: at(6)[0], head: head{last: 6, count: 4}})
		}, "[3 4 5 6] 2"},
		"a publish that trims": {func(c *tails, of *tail) {
			c.apply(of, &pending{message: at(6)[0], head: head{last: 6, lost: 3, count: 3}})
		}, "[4 5 6] 2"},
		"a publish, and memory for others": {func(c *tails, of *tail) {
			c.apply(of, &pending{message: at(6)[0], head: head{last: 6, count: 4}})
			c.drop(of)
		}, "[] 6"},
		"the channel was forgotten": {func(c *tails, of *tail) { c.apply(of, &pending{head: head{}}) }, "[] 0"},
		"it begins anew":            {func(c *tails, of *tail) { c.reset(of, 5) }, "[] 5"},
	} {
		t.Run(name, func(t *testing.T) {
			c, of := &tails{most: 1 << 20}, &tail{}
			c.reset(of, 4)
			c.apply(of, &pending{message: at(5)[0], head: head{last: 5, count: 3}})
			_, _, last, changes := c.read(of)
			test.meanwhile(c, of)
			c.fill(of, at(3, 4, 5), 2, last, changes)
			messages, from, _, _ := c.read(of)
			ids := []string{}
			bytes := int64(0)
			for _, m := range messages {
				ids = append(ids, m.ID)
				bytes += int64(m.Size())
			}
			if got := fmt.Sprint(ids, " ", from); got != test.want {
				t.Errorf("in memory is %s, want %s", got, test.want)
			}
			if bytes != of.bytes || bytes != c.bytes || c.used.Len() != min(len(ids), 1) {
				t.Errorf("counted are %d and %d bytes of %d, in %d tails", of.bytes, c.bytes, bytes, c.used.Len())
			}
		})
	}
}

func TestTail_lets_go_of_what_its_readers_cannot_have(t *testing.T) {
	d := openDB(t, inMemory())
	e := start(t, d)
	for i := range 500 {
		publish(t, e, "/a", fmt.Sprint(100+i), broker.Append{Keep: broker.Retention{Size: 10}})
	}
	of := &e.channels["/a"].tail
	if one := e.tails.bytes / 10; len(of.messages) != 10 || of.bytes != e.tails.bytes || one != int64(of.messages[0].Size()) || cap(of.messages)+of.spare > 200 {
		t.Errorf("%d messages of %d bytes, in room for %d", len(of.messages), of.bytes, cap(of.messages))
	}
	publish(t, e, "/a", "x", broker.Append{})
	if e.tails.bytes != 0 || of.messages != nil {
		t.Errorf("a channel that keeps nothing has %d bytes", e.tails.bytes)
	}
}
