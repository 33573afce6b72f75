package bayeux

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
)

// Whatever was written to a socket longer ago than ReceiptDelay and one round trip does not come again, when the peer answers pings; or than
// two round trips, where one takes longer than the delay. Timers are up to two ticks late.
func TestReceipt_nothing_older_than_the_delay_and_a_round_trip_comes_again(t *testing.T) {
	const (
		delay = 700 * time.Millisecond
		late  = 40 * time.Millisecond
		pace  = 10 * time.Millisecond
	)
	for _, trip := range []time.Duration{0, 30 * time.Millisecond, 690 * time.Millisecond, 1500 * time.Millisecond} {
		t.Run(trip.String(), func(t *testing.T) {
			worst := time.Duration(0)
			for cut := pace; cut < 8*time.Second; cut += 13 * pace {
				bubble(t, func(t *testing.T, s *server) {
					id, c := s.answering(trip)
					n := int(cut / pace)
					for i := range n {
						s.event("/a", strconv.Itoa(i))
						time.Sleep(pace)
					}
					c.ws.NetConn().Close()
					synctest.Wait()
					events := s.post(connectNow(id, `"x"`)).events()
					for i, data := range events {
						equal(t, "event", data, strconv.Itoa(n-len(events)+i))
					}
					worst = max(worst, time.Duration(len(events))*pace)
				}, func(o *Options, _ *broker.Options) {
					o.ReceiptDelay, o.Timeout = delay, time.Hour
					o.MaxUnconfirmed = 10_000
				})
			}
			window := max(delay, trip) + trip
			if worst < window || worst > window+late+pace {
				t.Errorf("the oldest that came again had been sent %v before, not %v", worst, window)
			}
		})
	}
}

// Nor is anybody asked more often than the delay, however much comes.
func TestReceipt_is_asked_for_once_in_a_delay(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, pings := s.pings(true)
		c.connected(`"/a"`)
		for range 2000 {
			s.event("/a", "1")
			time.Sleep(5 * time.Millisecond)
		}
		if n := pings.Load(); n < 9 || n > 10 {
			t.Errorf("%d pings in ten seconds", n)
		}
	}, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 500 })
}

// A question that cannot wait for its time goes in one write with the events that it asks after.
func TestReceipt_a_question_at_half_of_the_bound_goes_along(t *testing.T) {
	for size, along := range map[int]bool{10: true, largeWrite: false} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 4 })
			nc := s.rawSocket("["+connectNow("CID", `"1"`)+"]", "["+subscribe("CID", `"2"`, `"/a"`)+"]")
			r := bufio.NewReader(nc)
			data := `"` + strings.Repeat("x", size) + `"`
			before := s.writes()
			for range 2 {
				s.event("/a", data)
				equal(t, "event", parseReply(t, readServerFrame(t, r)).events()[0], data)
			}
			head, err := r.Peek(3)
			equal(t, "behind them", string(head), "\x89\x011")
			equal(t, "error", err, nil)
			equal(t, "in two writes", s.writes()-before == 2, along)
		})
	}
}

// writes is how many there have been, of what a client has read too: a socket is locked until its write is counted.
func (s *server) writes() uint64 {
	s.h.mu.Lock()
	sockets := slices.Collect(maps.Keys(s.h.sockets))
	s.h.mu.Unlock()
	for _, sock := range sockets {
		_ = sock.conn.Err() // takes the lock
	}
	return s.h.outbox.Stats().Writes
}

// answering opens a socket whose pongs come after a while.
func (s *server) answering(trip time.Duration) (id string, c *wsClient) {
	c, _, err := s.upgrade("", nil, func(_ *websocket.Dialer, ws *websocket.Conn) {
		if ws == nil {
			return
		}
		ws.SetPingHandler(func(payload string) error {
			time.AfterFunc(trip, func() { // it fails when the connection has been cut
				_ = ws.WriteControl(websocket.PongMessage, []byte(payload), time.Time{})
			})
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c.connected(`"/a"`), c
}
