package bayeux

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/tidwall/gjson"

	"waft/broker"
)

// What each part promises by itself it promises together with the others.

// The reply to a connect that gave way has a number too, and does not stand for what the newer connect is about to bring.
func TestAck_a_superseded_connect_closes_a_batch_without_the_newer_ones_events(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		session := s.h.session(s.acknowledging(`"/a"`))
		var both [2]waiting
		for i := range both {
			both[i] = waiting{asked: asked{s: session, poll: &poll{s: session, signal: make(chan struct{}, 1)}, id: strconv.Itoa(i), hold: holdTime}}
			session.bind(both[i].poll)
		}
		s.event("/a", "1")
		// The newer one's goroutine is faster to take, and the older one's to write.
		both[1].look(present)
		both[0].look(present)
		var events, older, newer list
		both[0].answer(&events, &older)
		equal(t, "older", parseReply(t, "["+string(older.buf)+"]")[0].Get("ext.ack").Int() > 0, true)
		number := parseReply(t, "["+string(older.buf)+"]")[0].Get("ext.ack").Raw
		both[1].answer(&events, &newer)
		// The response with the event is lost; the older one has arrived, if any.
		got := s.post(acking(connectNow(session.id(), `"9"`), number)).events()
		if number < parseReply(t, "["+string(newer.buf)+"]")[0].Get("ext.ack").Raw {
			equal(t, "events", strings.Join(got, ","), "1")
		}
	})
}

// With the extension events come with connects only, so there is no stream: it is not offered, not opened, and a connect that names it is
// one like others.
func TestAck_and_EventSource(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		types := func(m gjson.Result) bool {
			return strings.Contains(m.Get("supportedConnectionTypes").Raw, "eventsource")
		}
		equal(t, "offered without", types(s.post(handshakeMessage)[0]), true)
		equal(t, "offered", types(s.post(ackHandshake)[0]), false)
		id := s.acknowledging(`"/a"`)
		equal(t, "stream", s.streamAt("/"+id, nil).status, http.StatusBadRequest)
		heldFor(t, holdTime, func() {
			equal(t, "batch", s.post(acking(heartbeat(id, `"2"`), "1")).with(t, `"2"`).Get("ext.ack").Int(), 2)
		})
		s.event("/a", "1")
		ms := s.post(acking(heartbeat(id, `"3"`), "2"))
		equal(t, "event", strings.Join(ms.events(), ","), "1")
		equal(t, "advice", ms.with(t, `"3"`).Get("advice.timeout").Int() > 0, true)
	})
}

// A connect that is refused for its rate has told all the same that the answer before it arrived.
func TestReceipt_of_a_poll_whose_connect_is_refused_for_its_rate(t *testing.T) {
	for name, limit := range map[string]func(*Limits){
		"session": func(l *Limits) { l.SessionMessages = 1 },
		"address": func(l *Limits) { l.AddressMessages = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				s.post(connect(id, `"10"`)) // it waits
				s.event("/a", "1")
				equal(t, "events", strings.Join(s.post(connect(id, `"11"`)).events(), ","), "1")
				l := Limits{}
				limit(&l)
				if err := s.h.SetLimits(l); err != nil {
					t.Fatal(err)
				}
				// A batch takes all that is left, and the connect with it is refused.
				batch := make([]string, 10)
				for i := range batch {
					batch[i] = publish(id, fmt.Sprintf(`"p%d"`, i), "/b", "1")
				}
				ms := s.post("[" + strings.Join(batch, ",") + "," + connect(id, `"12"`) + "]")
				fails(t, ms.with(t, `"p9"`), "429")
				fails(t, ms.with(t, `"12"`), "429")
				equal(t, "kept", s.kept(id), 0)
				time.Sleep(time.Second)
				// CometD's client has had a failure, and so asks for an answer at once.
				equal(t, "events again", len(s.post(connectNow(id, `"13"`)).events()), 0)
			}, func(o *Options, _ *broker.Options) {
				o.MaxInterval = time.Minute
				o.ClientAddress = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
			})
		})
	}
}

// A client whose connects all have one id after a lower one, or that never waits after it once did, gets repeats, but not for ever.
func TestReceipt_repeats_end_by_themselves(t *testing.T) {
	for name, again := range map[string]func(id string) string{
		"one id":  func(id string) string { return connect(id, `"4"`) },
		"no wait": func(id string) string { return connectNow(id, `""`) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				s.post(connect(id, `"2"`))
				s.event("/a", "1")
				n := 0
				for len(s.post(again(id)).events()) > 0 && n < 100 {
					n++
				}
				if n == 0 || n > 1+mostDoubts {
					t.Errorf("the event came %d times", n)
				}
				for i := range 3 { // and what follows comes once
					s.event("/a", strconv.Itoa(i))
					equal(t, "event", strings.Join(s.post(again(id)).events(), ","), strconv.Itoa(i))
				}
				equal(t, "kept", s.kept(id), 1)
				equal(t, "assumed", s.h.Stats().Assumed[AssumedRepeated], 3)
			})
		})
	}
}

// Ids that are too long for a number are none.
func TestReceipt_long_ids_do_not_look_alike(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		s.post(connectNow(id, `"2"`))
		for n := range 3 {
			s.event("/a", strconv.Itoa(n))
			got := s.post(connect(id, fmt.Sprintf(`"550e8400e29b41d4a71644665544000%d"`, n))).events()
			equal(t, "events", strings.Join(got, ","), strconv.Itoa(n))
		}
	})
}

// Ids are the client's, of whatever kind.
func TestHold_ids_of_any_kind_are_echoed(t *testing.T) {
	for _, raw := range []string{`7`, `0`, `-1.50e3`, `"a\u00e9"`, `""`, `18446744073709551616`, `"` + strings.Repeat("x", 5000) + `"`} {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			w := s.wire()
			w.send(rawPost(connect(id, raw)))
			synctest.Wait()
			s.event("/a", "1")
			ms := w.messages()
			equal(t, "event", strings.Join(ms.events(), ","), "1")
			equal(t, "id", ms[1].Get("id").Raw, raw)
		}, handedBack)
	}
}

// Acknowledged polls give up their requests like others, by POST and by script, and a lost response is found by its number alone.
func TestAck_on_connections_that_were_taken_over(t *testing.T) {
	post := func(_ *server, message string) []byte { return rawPost(message) }
	script := func(_ *server, message string) []byte {
		q := url.Values{"message": {message}, "jsonp": {"f"}}
		return []byte("GET /bayeux?" + q.Encode() + " HTTP/1.1\r\nHost: waft.test\r\n\r\n")
	}
	read := func(w *wire) messages {
		_, body := w.next()
		return parseReply(w.t, strings.TrimSuffix(strings.TrimPrefix(body, "/**/f("), ");"))
	}
	for name, request := range map[string]func(*server, string) []byte{"POST": post, "script": script} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.acknowledging(`"/a"`)
				w := s.wire()
				w.send(request(s, acking(connect(id, `"2"`), "1")))
				synctest.Wait()
				equal(t, "taken over", s.connections(), 1)
				s.event("/a", "1")
				ms := read(w)
				equal(t, "event", strings.Join(ms.events(), ","), "1")
				equal(t, "batch", ms.with(t, `"2"`).Get("ext.ack").Int(), 2)
				// The next response is never read.
				w.send(request(s, acking(connect(id, `"3"`), "2")))
				synctest.Wait()
				s.event("/a", "2")
				synctest.Wait()
				w.nc.Close()
				s.event("/a", "3")
				w = s.wire()
				w.send(request(s, acking(connect(id, `"4"`), "2")))
				ms = read(w)
				equal(t, "events", strings.Join(ms.events(), ","), "2,3")
				w.send(request(s, acking(connect(id, `"5"`), ms.with(t, `"4"`).Get("ext.ack").Raw)))
				synctest.Wait()
				equal(t, "kept", s.kept(id), 0)
				s.event("/a", "4")
				equal(t, "event", strings.Join(read(w).events(), ","), "4")
			}, handedBack)
		})
	}
}

// The frame of a batch is a whole message, compressed or not, and what is not acknowledged comes again on the next socket.
func TestAck_and_compression(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		open := func() *wsClient {
			c, res, err := s.upgrade("", nil, offering)
			if err != nil || res.header.Get("Sec-Websocket-Extensions") == "" {
				t.Fatal(res, err)
			}
			return c
		}
		c := open()
		id := c.acknowledging(`"/a"`)
		long := strconv.Quote(strings.Repeat("compress me ", 200))
		s.event("/a", long)
		ms := parseReply(t, <-c.frames)
		equal(t, "event", strings.Join(ms.events(), ","), long)
		equal(t, "batch", ms.with(t, `"c2"`).Get("ext.ack").Int(), 2)
		c.ws.NetConn().Close()
		s.event("/a", long)
		c = open()
		c.send(acking(connectNow(id, `"1"`), "1"))
		ms = parseReply(t, <-c.frames)
		equal(t, "events", strings.Join(ms.events(), ","), long+","+long)
		// A session without the extension on the same socket has its frames compressed as ever.
		other := c.connected(`"/b"`)
		before := s.h.Stats().Compressed
		s.event("/b", long)
		equal(t, "event", c.next().Get("data").Raw, long)
		equal(t, "compressed", s.h.Stats().Compressed-before, 1)
		equal(t, "kept", s.kept(other), 1)
	}, compressing, func(o *Options, _ *broker.Options) { o.MaxInterval = time.Minute })
}

// Two sessions on one socket: each is asked after, and each gets back its own.
func TestReceipt_of_two_sessions_on_a_socket(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, pings := s.pings(true)
		first, second := c.connected(`"/a"`), c.connected(`"/b"`)
		third := c.acknowledging(`"/c"`)
		s.event("/a", "1")
		s.event("/b", "2")
		s.event("/c", "3")
		time.Sleep(1100 * time.Millisecond)
		equal(t, "pings", pings.Load(), 1)
		for _, id := range []string{first, second} {
			equal(t, "kept", s.kept(id), 0)
		}
		equal(t, "kept: a pong says nothing with the extension", s.kept(third), 1)
		s.event("/a", "4")
		s.event("/b", "5")
		synctest.Wait()
		// One of them moves away, between the question and its answer or not.
		equal(t, "moved", strings.Join(s.post(connect(first, `"x"`)).events(), ","), "4")
		time.Sleep(1100 * time.Millisecond)
		equal(t, "kept of the other", s.kept(second), 0)
		s.event("/b", "6")
		synctest.Wait()
		c.ws.NetConn().Close()
		equal(t, "other", strings.Join(s.post(connect(second, `"x"`)).events(), ","), "6")
		equal(t, "third", strings.Join(s.post(acking(connect(third, `"x"`), "1")).events(), ","), "3")
	}, func(o *Options, _ *broker.Options) { o.MaxInterval = time.Minute })
}

// What comes back may be more than may wait. Nothing of it is lost by coming back; the next event meets the policy.
func TestReceipt_what_comes_back_to_a_full_queue(t *testing.T) {
	for policy, overflow := range map[string]broker.Overflow{"disconnect": broker.Disconnect, "drop oldest": broker.DropOldest} {
		t.Run(policy, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c, _ := s.pings(false)
				id := c.connected(`"/a"`)
				for n := range 8 {
					s.event("/a", strconv.Itoa(n))
					synctest.Wait()
				}
				c.ws.NetConn().Close()
				synctest.Wait()
				for n := 8; n < 10; n++ {
					s.event("/a", strconv.Itoa(n))
				}
				synctest.Wait()
				queue := s.h.session(id).queue
				equal(t, "waiting", queue.Pending(), 10)
				s.event("/a", "10")
				synctest.Wait()
				if overflow == broker.Disconnect {
					equal(t, "ended", s.b.Stats().Ended[broker.SlowConsumer], 1)
					equal(t, "lost", s.b.Stats().Lost[broker.LostSlow], 11)
					fails(t, s.post(connect(id, `"x"`)).with(t, `"x"`), "401")
					return
				}
				equal(t, "events", strings.Join(s.post(connect(id, `"x"`)).events(), ","), "1,2,3,4,5,6,7,8,9,10")
				equal(t, "lost", s.b.Stats().Lost[broker.LostOldest], 1)
			}, func(o *Options, _ *broker.Options) {
				o.MaxMessages, o.Overflow, o.MaxInterval = 10, overflow, time.Minute
			})
		})
	}
}

// A connection of a proxy carries one client after another, each of which counts once, and only while it waits.
func TestHold_counts_whose_poll_it_is_behind_a_proxy(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		ids := []string{s.connected(`"/0"`), s.connected(`"/1"`)}
		w := s.wire()
		open := func(from string) (n int) {
			s.h.addresses.with(netip.MustParseAddr(from), s.h.now(), func(a *address) { n = a.open })
			return n
		}
		poll := func(i int) []byte {
			return []byte(strings.Replace(string(rawPost(connect(ids[i], `"x"`))), "\r\n", "\r\nX-From: 192.0.2."+strconv.Itoa(i+1)+"\r\n", 1))
		}
		for round := range 6 {
			i := round % 2
			w.send(poll(i))
			synctest.Wait()
			equal(t, "taken over", s.connections(), 1)
			equal(t, "its own", open("192.0.2."+strconv.Itoa(i+1)), 1)
			equal(t, "the other's", open("192.0.2."+strconv.Itoa(2-i)), 0)
			// Beyond the limit of one, while it is held.
			second := s.wire()
			second.send(poll(i))
			res, _ := second.next()
			equal(t, "second", res.status, http.StatusTooManyRequests)
			second.nc.Close()
			s.event("/"+strconv.Itoa(i), strconv.Itoa(round))
			equal(t, "event", strings.Join(w.messages().events(), ","), strconv.Itoa(round))
			synctest.Wait()
			equal(t, "afterwards", open("192.0.2.1")+open("192.0.2.2"), 0)
		}
		w.send(poll(0))
		synctest.Wait()
		w.nc.Close()
		synctest.Wait()
		equal(t, "hung up", open("192.0.2.1"), 0)
	}, handedBack, func(o *Options, _ *broker.Options) {
		o.Limits.AddressConnections, o.MaxInterval = 1, time.Minute
		o.ClientAddress = func(r *http.Request) netip.Addr {
			a, _ := netip.ParseAddr(r.Header.Get("X-From"))
			return a
		}
	})
}

// A credential that ends takes with it the poll that gave up its request, the stream, and the socket of a client that acknowledges.
func TestExpiry_wherever_the_session_is(t *testing.T) {
	for name, hello := range map[string]string{
		"plain": withToken("alice+20", handshakeMessage), "ack": strings.Replace(ackHandshake, `"ack":true`, `"ack":true,"token":"alice+20"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			shortLived(t, func(t *testing.T, s *server) {
				open := func() string {
					id := s.post(hello).with(t, `"h"`).Get("clientId").Str
					s.post(connectNow(id, `"0"`))
					return id
				}
				held, socketed := open(), open()
				w := s.wire()
				w.send(rawPost(connect(held, `"1"`)))
				c := s.socket()
				c.ask(connectNow(socketed, `"1"`))
				c.send(connect(socketed, `"2"`))
				synctest.Wait()
				equal(t, "sessions", s.h.Stats().Sessions, 2)
				m := w.messages().with(t, `"1"`)
				lapses(t, m, held)
				lapses(t, c.next(), socketed)
				synctest.Wait()
				equal(t, "sessions", s.h.Stats().Sessions, 0)
				equal(t, "lapsed", s.h.Stats().Lapsed, 2)
			}, handedBack)
		})
	}
	t.Run("stream", func(t *testing.T) {
		shortLived(t, func(t *testing.T, s *server) {
			id := s.post(withToken("alice+20", handshakeMessage)).with(t, `"h"`).Get("clientId").Str
			s.post(connectNow(id, `"0"`))
			stream := s.stream(id)
			heldFor(t, 20*time.Second, stream.end)
			synctest.Wait() // the stream ends before it is counted
			fails(t, s.post(heartbeat(id, `"2"`)).with(t, `"2"`), "401")
			equal(t, "lapsed", s.h.Stats().Lapsed, 1)
		})
	})
}

// Clients that do not read their answers are given up within a time, all of them at once.
func TestHold_clients_that_do_not_read(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		const many = 100
		before := runtime.NumGoroutine()
		var wires []*wire
		for range many {
			id := s.connected(`"/a"`)
			w := s.wire()
			w.send(rawPost(connect(id, `"1"`)))
			wires = append(wires, w)
		}
		synctest.Wait()
		equal(t, "held", s.connections(), many)
		s.event("/a", strconv.Quote(strings.Repeat("x", 50_000)))
		synctest.Wait()
		s.event("/a", "2") // nobody waits for them
		time.Sleep(writeWithin + time.Second)
		equal(t, "connections", s.connections(), 0)
		equal(t, "polls", s.h.Stats().Polls, 0)
		equal(t, "returned", s.h.Stats().Returned, many)
		for _, w := range wires {
			w.nc.Close()
		}
		s.client.CloseIdleConnections()
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before+many/10 {
			t.Errorf("%d goroutines, before %d", n, before)
		}
	}, handedBack, func(o *Options, _ *broker.Options) { o.MaxInterval = time.Hour })
}

// Ids that nobody has cost nothing that stays.
func TestSession_ten_thousand_ids_that_nobody_has(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c := s.socket()
		for n := range 100 {
			var batch []string
			for i := range 100 {
				id := fmt.Sprintf("stranger%dx%d", n, i)
				batch = append(batch, []string{
					connect(id, `"1"`), subscribe(id, `"1"`, `"/a"`), publish(id, `"1"`, "/a", "1"), msg("/meta/disconnect", id, `"1"`, ""),
				}[i%4])
			}
			text := "[" + strings.Join(batch, ",") + "]"
			for _, m := range s.post(text) {
				fails(t, m, "401")
			}
			c.send(text)
			for range batch {
				fails(t, c.next(), "401")
			}
		}
		stats := s.h.Stats()
		equal(t, "sessions", stats.Sessions, 0)
		equal(t, "refused", stats.Refused[RefusedClient], 20_000)
		equal(t, "addresses of strangers", len(s.h.storm.scores) <= 1, true)
		equal(t, "published", s.h.window.count, 0)
	})
}

// Everything at once, and then the end: nobody is left, nothing hangs.
func TestShutdown_of_everything_at_once(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		var wires []*wire
		for n := range 5 {
			w := s.wire()
			id := s.connected(`"/a"`)
			if n%2 == 1 {
				id = s.acknowledging(`"/a"`)
			}
			w.send(rawPost(acking(connect(id, `"1"`), "1")))
			wires = append(wires, w)
		}
		synctest.Wait()
		s.event("/a", "0") // answered: they wait for a next request now
		for _, w := range wires {
			w.messages()
		}
		answers := make([]<-chan messages, 5)
		for n := range answers {
			id := s.connected(`"/a"`)
			answers[n] = s.poll(connect(id, `"1"`))
		}
		var sockets []*wsClient
		for n := range 6 {
			c, _, err := s.upgrade("", nil, offering)
			if err != nil {
				t.Fatal(err)
			}
			switch n % 3 {
			case 0:
				c.connected(`"/a"`)
			case 1:
				c.acknowledging(`"/a"`)
			}
			sockets = append(sockets, c)
		}
		var streams []*streamClient
		for range 3 {
			streams = append(streams, s.stream(s.connected(`"/a"`)))
		}
		synctest.Wait()
		s.event("/a", strconv.Quote(strings.Repeat("x", 2000))) // under way as it ends
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped := make(chan error, 2)
		go func() { stopped <- s.h.Shutdown(ctx) }()
		go func() { stopped <- s.web.Shutdown(ctx) }()
		for range 2 {
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		}
		for _, a := range answers {
			equal(t, "answered", len(<-a) > 0, true)
		}
		for _, w := range wires {
			w.ended()
		}
		for _, c := range sockets {
			equal(t, "close", c.closeCode(), websocket.CloseGoingAway)
		}
		for _, st := range streams {
			st.end()
		}
		synctest.Wait()
		stats := s.h.Stats()
		equal(t, "left", fmt.Sprint(stats.Sessions, stats.Polls, stats.Sockets, stats.Streams, s.connections()), "0 0 0 0 0")
		equal(t, "addresses", len(s.h.addresses.known), 0)
	}, handedBack, compressing, func(o *Options, _ *broker.Options) { o.MaxInterval = time.Minute })
}
