//go:build interop

package interop

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The connections of every Bayeux client are cut in the middle of a stream of messages, and for a while there is no other way. All go on with their
// session, and hear everything that was said, in order. Those who acknowledge hear it once; others may hear again what had just been
// written when the connection died.
func TestCut(t *testing.T) {
	need(t, nodePeer, rubyFaye)
	const channel = "/open/cut/stream"
	w := startWaft(t)
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	clients := make([]*driver, len(fleet))
	for i, c := range fleet {
		clients[i] = c.start(t, "http://"+r.addr).subscribe(t, channel)
	}
	for i, c := range fleet {
		clients[i].subscribed(t)
		clients[i].mustUse(t, c.transport)
	}
	connections := r.connections()

	stream := startStream(t, w, channel)
	stream.awaitCount(t, 20)
	for _, d := range clients {
		if err := d.wait("the first of the stream", func() bool { return len(d.messages[channel]) > 10 }); err != nil {
			t.Fatal(err)
		}
	}
	r.interrupt()
	for _, gone := range []string{"waft_bayeux_sockets", "waft_bayeux_polls"} {
		if err := await("waft to notice", func() error { return w.metric(gone, 0) }); err != nil {
			t.Fatal(err)
		}
	}
	noticed := stream.count()
	stream.awaitCount(t, noticed+50)
	r.resume()
	// On, until everybody is back in the middle of it.
	for _, d := range clients {
		if _, err := d.until(channel, strconv.Itoa(noticed+50)); err != nil {
			t.Error(err)
		}
	}
	last := stream.stop(t)
	for i, c := range fleet {
		d := clients[i]
		t.Run(c.name(), func(t *testing.T) {
			got, err := d.until(channel, strconv.Itoa(last))
			if err != nil {
				t.Error(err)
			}
			mustIncrease(t, c.name(), got, !c.ack)
			mustHold(t, got, 0, last)
			if late := repeated(got); len(late) > 0 && late[len(late)-1] > noticed {
				t.Errorf("%v came twice, and waft knew of the cut since %d", late, noticed)
			}
			if n := d.count("handshake"); n != 1 {
				t.Errorf("%d handshakes", n)
			}
			d.mustUse(t, c.transport)
			c.mustAcknowledge(t, d)
		})
	}
	if n := r.connections() - connections; n < len(fleet) {
		t.Errorf("%d connections were made after the cut", n)
	}
}

// stream publishes the numbers from 0, one after the other.
type stream struct {
	published atomic.Int64 // how many
	end       chan struct{}
	done      chan error
}

func startStream(t *testing.T, w *waft, channel string) *stream {
	s := &stream{end: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for n := 0; ; n++ {
			item := fmt.Sprintf(`{"items":[{"channel":%q,"json-object":%d}]}`, channel, n)
			if err := post(w.url+"/realm/default/publish/", []byte(item)); err != nil {
				s.done <- err
				return
			}
			s.published.Store(int64(n + 1))
			select {
			case <-s.end:
				s.done <- nil
				return
			case <-pace.C:
			}
		}
	}()
	return s
}

func (s *stream) count() int { return int(s.published.Load()) }

func (s *stream) awaitCount(t *testing.T, n int) {
	t.Helper()
	err := await(fmt.Sprintf("%d published", n), func() error {
		if s.count() < n {
			return errors.New("less")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stop gives the last number.
func (s *stream) stop(t *testing.T) int {
	t.Helper()
	close(s.end)
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	return s.count() - 1
}

// mustHold fails the test if one of the numbers between from and last is missing.
func mustHold(t *testing.T, numbers []string, from, last int) {
	t.Helper()
	var missing []int
	for n := from; n <= last; n++ {
		if !slices.Contains(numbers, strconv.Itoa(n)) {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		t.Errorf("of %d to %d these are missing: %v", from, last, missing)
	}
}

// repeated gives the numbers that came more than once.
func repeated(numbers []string) (repeated []int) {
	seen := map[string]bool{}
	for _, text := range numbers {
		if n, err := strconv.Atoi(text); err == nil && seen[text] {
			repeated = append(repeated, n)
		}
		seen[text] = true
	}
	slices.Sort(repeated)
	return repeated
}
