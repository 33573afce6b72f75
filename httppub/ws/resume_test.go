package ws

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
)

// listener is a client that is cut off again and again, and comes back with its place and what it has seen since.
type listener struct {
	s        *server
	query    string // of the address
	groups   [][]string
	places   []string
	seen     map[string]string
	received map[string][]string // data by channel
	lost     int
	cuts     atomic.Int32 // still to come
	ahead    atomic.Int32 // published, and not yet received
}

// run listens until done, and before that while there are cuts: then each connection is cut after a random number of bytes.
func (l *listener) run(done func() bool) error {
	for cut := l.cuts.Load() > 0; ; {
		c, _, err := l.s.dial(l.query)
		if err != nil {
			return err
		}
		if cut {
			_ = c.ws.NetConn().(*net.TCPConn).SetLinger(0)
		}
		for i, channels := range l.groups {
			seen := map[string]string{}
			for ch, at := range l.seen {
				if slices.ContainsFunc(channels, func(p string) bool { return broker.Pattern(p).Matches(broker.Channel(ch)) }) {
					seen[ch] = at
				}
			}
			err := c.sayJSON(map[string]any{"type": "subscribe", "ref": i, "channels": channels, "since": l.places[i], "seen": seen})
			if err != nil {
				break // it was slow, and read says so too
			}
		}
		left := rand.IntN(80)
		for answered := 0; ; {
			if answered == len(l.groups) && cut {
				if left--; left < 0 {
					break
				}
			}
			x, err := c.read()
			if err != nil {
				break // it was slow
			}
			switch x.Type {
			case "message":
				l.seen[x.Channel] = x.Position
				l.received[x.Channel] = append(l.received[x.Channel], string(x.Data))
				l.ahead.Add(-1)
				if l.query != "" {
					_ = c.sayJSON(map[string]any{"type": "ack", "positions": map[string]string{x.Channel: x.Position}}) // it may have been slow
				}
			case "subscribed", "place", "lost":
				if x.Type == "subscribed" {
					answered++
				}
				l.lost += len(x.Lost)
				if x.Type == "place" {
					i, _ := strconv.Atoi(string(x.Ref))
					l.places[i] = x.Place
				}
			case "unsubscribed": // its replay had no end
			default:
				return fmt.Errorf("%+v", x)
			}
			if done() {
				c.close()
				return nil
			}
		}
		c.close()
		if cut && l.cuts.Add(-1) == 0 {
			return nil
		}
	}
}

// A socket is cut off a hundred times while its channels are published to: nothing is missing, nothing is twice, and each channel is in
// order.
func TestResume_after_100_cuts_nothing_is_lost_or_repeated(t *testing.T) {
	named := []string{"/n/0", "/n/1", "/n/2"}
	wild := []string{"/w/0", "/w/1/x", "/w/2", "/w/3"}
	for _, c := range []struct {
		name, query string
		groups      [][]string
		channels    []string
		queue       int
	}{
		{"one_channel", "", [][]string{{"/n/0"}}, named[:1], 10_000},
		{"a_subscribe_each", "", [][]string{{"/n/0"}, {"/n/1"}, {"/n/2"}}, named, 10_000},
		{"wildcard", "", [][]string{{"/w/**"}}, wild, 10_000},
		{"both", "", [][]string{{"/n/0", "/n/1"}, {"/n/2"}, {"/w/*", "/w/1/**"}}, append(slices.Clone(named), wild...), 10_000},
		{"both_overlapping", "", [][]string{{"/n/0", "/w/2", "/**"}}, append(slices.Clone(named), wild...), 10_000},
		{"more_than_the_queue", "", [][]string{{"/n/0", "/n/1"}, {"/w/**"}}, append([]string{"/n/0", "/n/1"}, wild...), 20},
		{"window", "window=5", [][]string{{"/n/0", "/n/1"}, {"/w/**"}}, append([]string{"/n/0", "/n/1"}, wild...), 10_000},
		{"window_and_more_than_the_queue", "window=3", [][]string{{"/n/0"}, {"/w/**"}}, append([]string{"/n/0"}, wild...), 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{MaxMessages: c.queue, MaxBytes: 100 << 20, KeepAlive: 20 * time.Millisecond, PongWait: patience, Limits: Limits{SocketFrames: 1_000_000}}, deep(1_000_000))
			l := &listener{s: s, query: c.query, groups: c.groups, seen: map[string]string{}, received: map[string][]string{}}
			first := s.connect("") // so that all that is published is its
			for _, channels := range c.groups {
				l.places = append(l.places, first.subscribe(channels...).Place)
			}
			first.close()
			l.cuts.Store(100)

			// They publish until the last cut.
			last := make([]int, len(c.channels))
			var publishing sync.WaitGroup
			for i, ch := range c.channels {
				publishing.Go(func() {
					for n := 0; l.cuts.Load() > 0; n++ {
						s.publish(ch, n)
						last[i] = n
						for l.ahead.Add(1); l.ahead.Load() > 500 && l.cuts.Load() > 0; {
							time.Sleep(time.Millisecond) // or each cut has all the more to replay
						}
						if n%max(5, 20/len(c.channels)) == 0 || c.query != "" { // who acknowledges each message is slower
							time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
						}
					}
				})
			}
			if err := l.run(func() bool { return false }); err != nil {
				l.cuts.Store(0)
				publishing.Wait()
				t.Fatal(err)
			}
			publishing.Wait()
			want := map[string]int{}
			for i, ch := range c.channels {
				for range 30 { // nobody listens: more than the short queue has room for
					last[i]++
					s.publish(ch, last[i])
				}
				want[ch] = last[i] + 1
			}
			err := l.run(func() bool {
				for ch, n := range want {
					if got := l.received[ch]; len(got) == 0 || got[len(got)-1] != strconv.Itoa(n-1) {
						return false
					}
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if l.lost > 0 {
				t.Errorf("%d lost", l.lost)
			}
			for ch, n := range want {
				got := l.received[ch]
				for i, data := range got {
					if data != strconv.Itoa(i) {
						t.Fatalf("%s: message %d is %s", ch, i, data)
					}
				}
				if len(got) != n {
					t.Errorf("%s: %d messages, want %d", ch, len(got), n)
				}
			}
			if c.queue == 20 && s.handler.Stats().Replayed == 0 {
				t.Error("nothing was replayed from history")
			}
		})
	}
}
