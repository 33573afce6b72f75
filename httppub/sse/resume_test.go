package sse

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub/place"
)

// listener is a client that is cut off again and again, and comes back with the id of its last event.
type listener struct {
	s        *server
	query    string
	id       string
	received map[string][]string // data by channel
	resets   int
	cuts     atomic.Int32 // still to come
	ahead    atomic.Int32 // published, and not yet received
}

// run listens until done, and before that while there are cuts: then each connection is cut after a random number of bytes.
func (l *listener) run(done func() bool) error {
	for cut := l.cuts.Load() > 0; ; {
		c := l.s.get(l.query, "Last-Event-ID: "+l.id)
		if c.status != http.StatusOK {
			return fmt.Errorf("%d %s", c.status, c.rest())
		}
		c.last = l.id
		if cut {
			c.body.Reset(&cutShort{c, rand.IntN(6000)})
		}
		for {
			e, err := c.read()
			if err != nil {
				break
			}
			switch e.name {
			case "reset":
				l.resets++
			case "ready", "end": // it was slow, or its replay had no end: it comes back
			default:
				l.received[e.name] = append(l.received[e.name], e.data)
				l.ahead.Add(-1)
			}
			if done() {
				c.close()
				return nil
			}
		}
		l.id = c.last
		c.close()
		if cut && l.cuts.Add(-1) == 0 {
			return nil
		}
	}
}

// cutShort gives so many bytes of a connection, and then closes it.
type cutShort struct {
	c    *client
	left int
}

func (r *cutShort) Read(b []byte) (int, error) {
	if r.left == 0 {
		r.c.close()
		return 0, fmt.Errorf("cut")
	}
	n, err := r.c.r.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}

// A stream of many channels is cut off two hundred times, at any byte, while they are published to: nothing is missing, nothing is twice, and
// each channel is in order.
func TestResume_after_200_cuts_nothing_is_lost_or_repeated(t *testing.T) {
	named := []string{"/n/0", "/n/1", "/n/2"}
	wild := []string{"/w/0", "/w/1/x", "/w/2", "/w/3"}
	for _, c := range []struct {
		name, query string
		channels    []string
		queue       int
	}{
		{"one_channel", "channel=/n/0", named[:1], 10_000},
		{"named_channels", "channel=/n/0&channel=/n/1&channel=/n/2", named, 10_000},
		{"wildcard", "channel=/w/**", wild, 10_000},
		{"both", "channel=/n/0&channel=/n/1&channel=/n/2&channel=/w/*&channel=/w/1/**", append(slices.Clone(named), wild...), 10_000},
		{"both_overlapping", "channel=/n/0&channel=/w/2&channel=/**", append(slices.Clone(named), wild...), 10_000},
		{"more_than_the_queue", "channel=/n/0&channel=/n/1&channel=/w/**", append([]string{"/n/0", "/n/1"}, wild...), 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, Options{MaxMessages: c.queue, MaxBytes: 100 << 20}, deep(1_000_000))
			l := &listener{s: s, query: c.query + "&envelope=0&event=channel", received: map[string][]string{}}
			first := s.listen(l.query) // so that all that is published is its
			first.named("ready")
			l.id = first.last
			first.close()
			for range 2 { // who was there before has had the same, and its ids are the listener's, or the other way round
				nc := s.raw(l.query)
				defer nc.Close()
				go io.Copy(io.Discard, nc) //nolint:errcheck // it ends with the connection
			}
			l.cuts.Store(200)

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
						if n%max(5, 20/len(c.channels)) == 0 {
							time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
						}
					}
				})
			}
			if err := l.run(func() bool { return false }); err != nil {
				t.Fatal(err)
			}
			publishing.Wait()
			want := map[string]int{}
			for i, ch := range c.channels {
				s.publish(ch, last[i]+1)
				want[ch] = last[i] + 2
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
			if l.resets > 0 {
				t.Errorf("%d resets", l.resets)
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
		})
	}
}

func TestResume_begins_with_what_was_published_meanwhile(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	s.publish("/a", "-1")
	for _, q := range []string{query("/a"), query("/a", "/b"), query("/*"), query("/a", "/*")} {
		c := s.listen(q)
		c.named("ready")
		c.close()
		s.publish("/a", 1)
		again := s.resume(q, c.last)
		if got := again.named("ready"); got != `{"resumed":true}` {
			t.Errorf("%s: ready %s", q, got)
		}
		again.want("1")
		s.publish("/a", 2)
		again.want("2")
	}
}

func TestResume_by_query_and_by_a_position(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	at := brokertest.Publish(t, s.broker, "/a", "1").Position.String()
	c := s.listen(query("/a"))
	c.named("ready")
	id := c.last
	s.publish("/a", 2)
	for _, q := range []string{"&last_event_id=" + id, "&lastEventId=" + id, "&last_event_id=" + at, "&last_event_id=" + id + "&lastEventId="} {
		c := s.listen(query("/a") + q)
		c.named("ready")
		c.want("2")
	}
}

// A page's address stays the same when its browser comes back, so the header is newer.
func TestResume_by_header_wins_over_the_query(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.listen(query("/a"))
	c.named("ready")
	q := query("/a") + "&last_event_id=" + c.last
	s.publish("/a", 1)
	c.want("1")
	s.publish("/a", 2)
	again := s.resume(q, c.last)
	again.named("ready")
	again.want("2")
}

func TestResume_tells_what_was_lost_and_goes_on_live(t *testing.T) {
	s := newServer(t, Options{}, deep(3))
	c := s.listen(query("/a", "/b", "/w/*"))
	c.named("ready")
	for i := range 3 {
		s.publish("/a", i)
		s.publish("/b", i)
		s.publish("/w/1", i)
		s.publish("/w/2", i)
	}
	c.messages(12)
	c.close()
	for i := range 4 { // more than is kept
		s.publish("/a", i)
		s.publish("/w/2", i)
	}
	s.publish("/b", "10")
	s.publish("/w/1", "11")
	s.publish("/w/3", "12")
	again := s.resume(query("/a", "/b", "/w/*"), c.last)
	if got := again.named("reset"); got != `{"channels":["/a","/w/2"]}` {
		t.Errorf("reset: %s", got)
	}
	atReset := again.last
	if got := again.named("ready"); got != `{"resumed":false}` {
		t.Errorf("ready: %s", got)
	}
	got := again.messages(3)
	slices.Sort(got)
	if want := []string{"10", "11", "12"}; !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
	s.publish("/a", "20")
	s.publish("/w/2", "21")
	again.want("20", "21")
	// Cut off right after the reset, the same is missing no longer.
	c = s.resume(query("/a", "/b", "/w/*"), atReset)
	c.named("ready")
	got = c.messages(5)
	slices.Sort(got)
	if want := []string{"10", "11", "12", "20", "21"}; !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
	if st := s.handler.Stats(); st.Reset != 1 || st.Resumed != 2 || st.Opened != 3 {
		t.Errorf("%+v", st)
	}
}

func TestResume_after_a_restart_that_forgot_everything_is_told(t *testing.T) {
	old := newServer(t, Options{Generation: 1}, broker.Options{})
	fresh := newServer(t, Options{Generation: 2}, broker.Options{})
	for _, c := range []struct{ query, lost string }{
		{query("/never"), `["/never"]`},
		{query("/a", "/never"), `["/a","/never"]`},
		{query("/**"), `["/**"]`},
		{query("/a", "/**"), `["/**","/a"]`},
	} {
		before := old.listen(c.query)
		before.named("ready")
		if strings.Contains(c.query, "%2Fa") {
			old.publish("/a", 1)
			before.want("1")
		}
		after := fresh.resume(c.query, before.last)
		if got := after.named("reset"); got != `{"channels":`+c.lost+`}` {
			t.Errorf("%s: reset %s", c.query, got)
		}
		fresh.publish("/never", 2)
		after.named("ready")
		after.want("2")
	}
}

func TestResume_of_channels_that_keep_nothing_is_told(t *testing.T) {
	s := newServer(t, Options{}, deep(0))
	c := s.listen(query("/a"))
	c.named("ready")
	c.close()
	again := s.resume(query("/a"), c.last)
	again.named("reset")
	again.named("ready")
	s.publish("/a", 1)
	again.want("1")
	again.close()
	third := s.resume(query("/a"), again.last)
	if got := third.named("ready"); got != `{"resumed":true}` { // its position says that there was nothing
		t.Errorf("ready: %s", got)
	}
	third.close()
	s.publish("/a", 2)
	s.resume(query("/a"), again.last).named("reset")
}

func TestResume_of_a_wildcard_over_channels_that_keep_nothing_names_them(t *testing.T) {
	o := deep(100)
	o.NoHistory = func(p broker.Pattern) (broker.Pattern, bool) { return "/x/gap/*", p.Overlaps("/x/gap/*") }
	s := newServer(t, Options{}, o)
	c := s.listen(query("/x/**"))
	c.named("ready")
	s.publish("/x/y", 1)
	c.want("1")
	c.close()
	s.publish("/x/y", 2)
	s.publish("/x/z", 3)
	again := s.resume(query("/x/**"), c.last)
	if got := again.named("reset"); got != `{"channels":["/x/gap/*"]}` {
		t.Errorf("reset: %s", got)
	}
	again.named("ready")
	again.want("2", "3")
}

func TestResume_of_a_wildcard_is_told_when_its_id_is_too_old_or_histories_were_dropped(t *testing.T) {
	for name, tamper := range map[string]func(*place.Token){
		"old":     func(t *place.Token) { t.Base -= time.Hour.Milliseconds() },
		"dropped": func(t *place.Token) { t.Stamp++ },
		"broken":  func(t *place.Token) { t.Broken, t.Based = true, false },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{}, broker.Options{})
			c := s.listen(query("/w/*", "/a"))
			c.named("ready")
			s.publish("/a", 1)
			c.want("1")
			s.publish("/a", 2)
			old, err := place.Parse(c.last, nil)
			if err != nil {
				t.Fatal(err)
			}
			tamper(old)
			s.publish("/w/x", "0")
			again := s.resume(query("/w/*", "/a"), old.String())
			if got := again.named("reset"); got != `{"channels":["/w/*"]}` {
				t.Errorf("reset: %s", got)
			}
			again.named("ready")
			s.publish("/w/x", 3)
			again.want("2", "3")
		})
	}
}

func TestResume_without_the_right_to_read_is_told(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{Authorizer: members})
	c := s.listen(query("/live", "/a"))
	c.named("ready")
	s.publish("/live", 1)
	s.publish("/a", 2)
	c.want("1", "2")
	s.publish("/live", 3)
	s.publish("/a", 4)
	again := s.resume(query("/live", "/a"), c.last)
	if got := again.named("reset"); got != `{"channels":["/live"]}` {
		t.Errorf("reset: %s", got)
	}
	again.named("ready")
	s.publish("/live", 5)
	again.want("4", "5")
}

func TestResume_with_other_channels_takes_from_the_id_what_it_has(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.listen(query("/a", "/b"))
	c.named("ready")
	s.publish("/a", 1)
	s.publish("/b", 2)
	s.publish("/c", 3)
	c.want("1", "2")
	s.publish("/b", 4)
	s.publish("/c", 5)
	again := s.resume(query("/b", "/c", "/d/*"), c.last)
	again.named("ready")
	again.want("4")
	s.publish("/c", 6)
	s.publish("/d/e", 7)
	again.want("6", "7")
}

func TestResume_of_much_more_than_the_queue_is_written_in_pages(t *testing.T) {
	s := newServer(t, Options{MaxMessages: 10}, deep(5000))
	for _, q := range []string{query("/a"), query("/*"), query("/a", "/new", "/*")} {
		s.publish("/a", `"before"`)
		c := s.listen(q)
		c.named("ready")
		c.close()
		var want []string
		for i := range 1500 {
			want = append(want, strconv.Itoa(i))
			s.publish("/a", i)
		}
		again := s.resume(q, c.last)
		again.named("ready")
		again.want(want...)
		s.publish("/a", `"live"`)
		again.want(`"live"`)
		again.close()
	}
	if n := s.handler.Stats().Replayed; n < 3*1400 {
		t.Errorf("%d replayed", n)
	}
}

func TestResume_of_more_channels_than_can_be_is_told(t *testing.T) {
	o := deep(1)
	o.MaxReplayChannels = 20
	s := newServer(t, Options{}, o)
	c := s.listen(query("/w/*", "/a"))
	c.named("ready")
	for i := range 30 {
		s.publish(fmt.Sprintf("/w/%d", i), i)
	}
	s.publish("/a", 1)
	again := s.resume(query("/w/*", "/a"), c.last)
	again.named("ready")
	got := again.messages(31) // in pages, and then live
	slices.Sort(got)
	if len(slices.Compact(got)) != 30 { // 0 to 29, and 1 once more
		t.Errorf("received %q", got)
	}
	if got := again.named("reset"); got != `{"channels":["/w/*"]}` {
		t.Errorf("reset: %s", got)
	}
	s.publish("/w/5", `"live"`)
	again.want(`"live"`)
}

// A channel of a wildcard that was quiet for long is not in the id: it goes on with what is newer than the id's base.
func TestResume_of_a_quiet_channel_goes_by_time(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after int
		reset         bool
	}{
		{"nothing_new", 50, 0, false},
		{"a_few", 50, 3, false},
		{"many", 30, 60, false},
		{"a_new_channel", 0, 5, false},
		{"as_many_as_are_kept", 0, 100, false},
		{"more_than_are_kept", 50, 100, true}, // the message before the oldest may have been newer than the base
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, Options{}, broker.Options{})
			for i := range c.before {
				s.publish("/w/x", i)
			}
			old := place.Token{Stamped: true, Stamp: s.handler.places.Stamp(), Based: true, Base: time.Now().UnixMilli()}
			if err := waitFor(func() bool { return time.Now().UnixMilli() > old.Base }); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := range c.after {
				s.publish("/w/x", 1000+i)
				want = append(want, strconv.Itoa(1000+i))
			}
			again := s.resume(query("/w/*"), old.String())
			if c.reset {
				want = nil
				if got := again.named("reset"); got != `{"channels":["/w/x"]}` {
					t.Errorf("reset: %s", got)
				}
			}
			again.named("ready")
			s.publish("/w/x", `"live"`)
			again.want(append(want, `"live"`)...)
		})
	}
}
