package place

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// noted writes messages by their numbers, and its own mark.
type noted byte

func (n noted) EncodeMessage(m *broker.Message) ([]byte, error) {
	if m.Data == nil {
		return nil, broker.ErrSkip
	}
	return append(append([]byte{' '}, m.Data...), byte(n), '\n'), nil
}

// Streams of all sorts share memos, at random, and pass what they are sent in parts of any size: whatever a text tells a client, and whoever made it, the
// client has had everything before that place and nothing behind it, in every channel that it asked for.
func TestMemo_gives_each_stream_the_text_of_its_own_place(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			t.Logf("seed %d", seed)
			w := &memoWorld{t: t, r: rand.New(rand.NewPCG(seed, 3)), offset: map[broker.Channel]uint64{}}
			for i := range w.streams {
				w.open(i)
			}
			for range 100 {
				w.step()
			}
			if w.shared == 0 {
				t.Error("nothing was shared")
			}
		})
	}
}

// Texts that do not say all are no sign that two streams are at one place, and one that has another set of channels now goes its own way.
func TestMemo_shares_nothing_with_who_may_be_elsewhere(t *testing.T) {
	begin := time.UnixMilli(1 << 40)
	wild := func() *Cursor {
		return &Cursor{wild: true, base: begin.Add(-slack).UnixMilli(), stamp: func() uint32 { return 0 }}
	}
	pass := func(m *Memo, offset uint64, after time.Duration, cs ...*Cursor) (tokens []*Token) {
		msg := &broker.Message{Channel: "/m", Position: broker.Position{Epoch: 1, Offset: offset}, Time: begin.Add(after), Data: []byte("1")}
		for _, c := range cs {
			text, _, _ := strings.Cut(string(m.Append(nil, c, noted('x'), []broker.Delivery{{Message: msg}})), " ")
			token, err := parse(text)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
		return tokens
	}
	t.Run("places were left out", func(t *testing.T) {
		var m Memo
		knows, tore := wild(), wild()
		knows.note("/q", broker.Position{Epoch: 1, Offset: 1}, begin.UnixMilli())
		knows.torn, tore.torn = begin.Add(2*time.Millisecond-slack).UnixMilli(), begin.UnixMilli() // tore has had more of /q
		for _, token := range pass(&m, 1, 1, knows, tore) {
			if !token.Broken {
				t.Fatalf("%+v", token)
			}
		}
		if got := pass(&m, 2, time.Second, knows, tore); got[0].Broken || !got[1].Broken {
			t.Errorf("got %+v and %+v, want the second one broken", got[0], got[1])
		}
	})
	t.Run("a replay is on its way", func(t *testing.T) {
		var m Memo
		live, replayed := wild(), wild()
		replayed.frozen = 2
		pass(&m, 1, 0, live, replayed)
		if got := pass(&m, 2, time.Second, live, replayed); got[0].Base <= got[1].Base || got[1].Base != wild().base {
			t.Errorf("the bases are %d and %d, and the second should have stayed", got[0].Base, got[1].Base)
		}
	})
	t.Run("a channel was dropped", func(t *testing.T) {
		var m Memo
		stays, drops := wild(), wild()
		for _, c := range []*Cursor{stays, drops} {
			c.named = []named{{"/m", hashOf("/m"), broker.Position{}}}
		}
		pass(&m, 1, 0, stays, drops)
		drops.Drop("/m", []broker.Pattern{"/**"})
		if got := pass(&m, 2, 0, stays, drops); got[0].named[hashOf("/m")].Offset != 2 || got[1].wild["/m"].Offset != 2 {
			t.Errorf("got %+v and %+v", got[0], got[1])
		}
	})
}

type memoWorld struct {
	t       *testing.T
	r       *rand.Rand
	memos   [2]Memo
	all     []*broker.Message
	offset  map[broker.Channel]uint64
	streams [12]*memoStream
	shared  int
}

type memoStream struct {
	Cursor
	patterns []broker.Pattern
	form     noted
	queue    []broker.Delivery
	owed     map[*broker.Message]bool // in the queue, or never to come
}

var (
	memoPatterns = [][]broker.Pattern{{"/a", "/b"}, {"/a", "/b", "/a/*"}, {"/*"}, {"/**"}, {"/a", "/**"}}
	memoChannels = []broker.Channel{"/a", "/b", "/c", "/a/1", "/a/2"}
)

// open begins a stream where everything has been delivered.
func (w *memoWorld) open(i int) {
	s := &memoStream{patterns: memoPatterns[w.r.IntN(len(memoPatterns))], form: noted('x' + w.r.IntN(2)), owed: map[*broker.Message]bool{}}
	w.streams[i] = s
	s.stamp = func() uint32 { return 7 }
	s.base = time.Now().Add(-slack).UnixMilli()
	for _, p := range s.patterns {
		if ch, ok := p.Channel(); ok {
			s.named = append(s.named, named{channel: ch, hash: hashOf(ch)})
		} else {
			s.wild = true
		}
	}
	s.fold()
	for _, m := range w.all {
		if n := s.find(m.Channel); n != nil {
			n.at = m.Position
		} else if at := m.Time.UnixMilli(); at > s.base && s.hears(m.Channel) { // as noteNew does
			s.note(m.Channel, m.Position, at)
		}
	}
}

func (s *memoStream) hears(c broker.Channel) bool {
	return slices.ContainsFunc(s.patterns, func(p broker.Pattern) bool { return p.Matches(c) })
}

func (w *memoWorld) step() {
	s := w.streams[w.r.IntN(len(w.streams))]
	switch n := w.r.IntN(30); {
	case n == 0:
		w.open(w.r.IntN(len(w.streams)))
	case n == 1:
		time.Sleep(time.Duration(w.r.IntN(90)) * time.Second)
	case n == 2 && len(s.queue) == 0:
		s.Advance(time.Now().UnixMilli())
	case n == 3: // it comes back, and what it is to have is replayed channel by channel
		s.spot, s.frozen = 0, len(s.queue)
		slices.SortStableFunc(s.queue, func(a, b broker.Delivery) int { return cmp.Compare(a.Message.Channel, b.Message.Channel) })
	case n == 4: // there were more channels than are remembered
		for _, s := range w.streams {
			if len(s.recent) > 0 && w.r.IntN(3) > 0 {
				s.tear()
				s.spot = 0
			}
		}
	case n == 5 && len(s.patterns) > 1:
		p := s.patterns[0]
		s.patterns = s.patterns[1:]
		s.Drop(p, s.patterns)
		s.queue = slices.DeleteFunc(s.queue, func(d broker.Delivery) bool { return !s.hears(d.Message.Channel) })
		s.frozen = min(s.frozen, len(s.queue))
	case n < 15:
		time.Sleep(time.Duration(w.r.IntN(2000)) * time.Millisecond)
		for range 1 + w.r.IntN(3) {
			w.publish(memoChannels[w.r.IntN(len(memoChannels))])
		}
	default:
		parts := 1 + w.r.IntN(3)
		for _, s := range w.streams {
			if w.r.IntN(10) > 0 {
				w.deliver(s, min(parts, len(s.queue)))
			}
		}
	}
}

func (w *memoWorld) publish(ch broker.Channel) {
	w.offset[ch]++
	m := &broker.Message{Channel: ch, Position: broker.Position{Epoch: 1, Offset: w.offset[ch]}, Time: time.Now(), Data: fmt.Append(nil, len(w.all))}
	if w.r.IntN(20) == 0 {
		m.Data = nil
	}
	w.all = append(w.all, m)
	for _, s := range w.streams {
		if s.owed[m] = true; s.hears(ch) {
			s.queue = append(s.queue, broker.Delivery{Message: m})
		}
	}
}

// deliver gives a stream some of what it waits for, and looks at each text.
func (w *memoWorld) deliver(s *memoStream, some int) {
	ds := s.queue[:some]
	if s.queue = s.queue[some:]; some == 0 {
		return
	}
	memo, before := &w.memos[w.r.IntN(2)], spots.Load()
	memo.vain = w.r.IntN(2) * maxVain
	got := strings.SplitAfter(string(memo.Append(nil, &s.Cursor, s.form, ds)), "\n")
	if s.spot != 0 && spots.Load() == before {
		w.shared++
	}
	for _, d := range ds {
		if delete(s.owed, d.Message); d.Message.Data == nil {
			continue
		}
		id, number, _ := strings.Cut(strings.TrimSpace(got[0]), " ")
		if got = got[1:]; number != string(d.Message.Data)+string(s.form) {
			w.t.Fatalf("message %q in place of %s%c", number, d.Message.Data, s.form)
		}
		w.check(s, id)
	}
	if len(got) != 1 {
		w.t.Fatalf("left are %q", got)
	}
}

// check compares what a text says with what the stream has had.
func (w *memoWorld) check(s *memoStream, id string) {
	token, err := parse(id)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, m := range w.all {
		if !s.hears(m.Channel) {
			continue
		}
		at, known := token.wild[m.Channel]
		if s.find(m.Channel) != nil {
			at, known = token.named[hashOf(m.Channel)]
		}
		had := m.Position.Offset <= at.Offset
		switch {
		case known:
		case token.Broken:
			continue
		default:
			had = m.Time.UnixMilli() <= token.Base
		}
		if had == s.owed[m] {
			w.t.Fatalf("stream of %v: by the text %+v message %d in %s is had: %v", s.patterns, token, i, m.Channel, had)
		}
	}
}
