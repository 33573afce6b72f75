//go:build interop

package interop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The connections of every Bayeux client are cut in the middle of a stream of messages, and for a while there is no other way. All go on with their
// session, and hear everything that was said since waft noticed, once and in order. What had been written to a connection that was
// already dead is lost to those who do not acknowledge.
func TestCut(t *testing.T) {
	need(t, nodePeer, rubyFaye)
	const channel = "/open/cut/stream"
	w := startWaft(t)
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	fleet := present(t, w)
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
			from := noticed + 1
			if c.ack {
				from = 0
			}
			mustContinue(t, got, from, last)
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

// mustContinue fails the test unless the numbers increase, and none is missing of those between from and last.
func mustContinue(t *testing.T, numbers []string, from, last int) {
	t.Helper()
	mustIncrease(t, t.Name(), numbers)
	have := map[string]bool{}
	for _, n := range numbers {
		have[n] = true
	}
	missing := 0
	for n := from; n <= last; n++ {
		if !have[strconv.Itoa(n)] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of the numbers %d to %d are missing", missing, from, last)
	}
	t.Logf("%d of %d arrived", len(numbers), last+1)
}
