package bayeux

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// Rows of 8.3, 8.4 and 8.8 again, as they look with limits on addresses, sessions and the life of credentials.

// limited is a server that takes the client's address from a header, as behind a proxy.
func limited(t *testing.T, l Limits, f func(t *testing.T, s *server), set ...func(*Options, *broker.Options)) {
	bubble(t, f, append([]func(*Options, *broker.Options){func(o *Options, _ *broker.Options) {
		o.Limits = l
		o.ClientAddress = func(r *http.Request) netip.Addr {
			a, _ := netip.ParseAddr(r.Header.Get("X-From"))
			return a
		}
	}}, set...)...)
}

func from(address string) map[string]string { return map[string]string{"X-From": address} }

// sent is what one message from an address is answered with.
func (s *server) sent(address, message string) gjson.Result {
	s.t.Helper()
	return s.send(request{body: message, header: from(address)})[0]
}

// tooEarly checks a refusal that says when to come back.
func tooEarly(t *testing.T, m gjson.Result, reconnect, words string) {
	t.Helper()
	fails(t, m, "429::"+words)
	equal(t, "reconnect", m.Get("advice.reconnect").Str, reconnect)
	if n := m.Get("advice.interval").Int(); n < 1000 {
		t.Errorf("an interval of %d ms", n)
	}
}

// tooEarlyHTTP checks a request that was refused unread.
func tooEarlyHTTP(t *testing.T, status int, header http.Header) {
	t.Helper()
	equal(t, "status", status, 429)
	if n, err := strconv.Atoi(header.Get("Retry-After")); err != nil || n < 1 {
		t.Errorf("Retry-After: %s", header.Get("Retry-After"))
	}
}

var limitRows = []row{
	{31, "handshakes_of_an_address", func(t *testing.T) {
		limited(t, Limits{AddressHandshakes: 2}, func(t *testing.T, s *server) {
			intervals := map[int64]bool{}
			for range 2 {
				for range 2 * burst {
					ok(t, s.sent("192.0.2.1", handshakeMessage))
				}
				for range 10 {
					m := s.sent("192.0.2.1", handshakeMessage)
					tooEarly(t, m, "handshake", "Too many handshakes")
					intervals[m.Get("advice.interval").Int()] = true
				}
				ok(t, s.sent("192.0.2.2", handshakeMessage))
				time.Sleep(499 * time.Millisecond)
				fails(t, s.sent("192.0.2.1", handshakeMessage), "429")
				time.Sleep(time.Millisecond)
				ok(t, s.sent("192.0.2.1", handshakeMessage))
				time.Sleep(time.Hour)
			}
			if len(intervals) < 10 {
				t.Errorf("20 clients come back at %d different times", len(intervals))
			}
			equal(t, "refused", s.h.Stats().Refused[RefusedAddressHandshakes], 22)
			equal(t, "remembered", len(s.h.addresses.known), 0+1) // the last hour's last one, who was not looked at since
		})
	}},
	{31, "sessions_of_an_address", func(t *testing.T) {
		limited(t, Limits{AddressSessions: 3}, func(t *testing.T, s *server) {
			var id string
			for range 3 {
				id = s.sent("2001:db8::1", handshakeMessage).Get("clientId").Str
			}
			// The rest of its network is the same customer.
			tooEarly(t, s.sent("2001:db8::2", handshakeMessage), "handshake", "Too many sessions")
			ok(t, s.sent("2001:db8:0:1::1", handshakeMessage))
			ok(t, s.sent("2001:db8::9", msg("/meta/disconnect", id, `"d"`, "")))
			synctest.Wait()
			ok(t, s.sent("2001:db8::1", handshakeMessage))
			fails(t, s.sent("2001:db8::1", handshakeMessage), "429")
			time.Sleep(grace + time.Second) // they expire
			ok(t, s.sent("2001:db8::1", handshakeMessage))
			equal(t, "refused", s.h.Stats().Refused[RefusedAddressSessions], 2)
		})
	}},
	{99, "connections_of_an_address", func(t *testing.T) {
		limited(t, Limits{AddressConnections: 3}, func(t *testing.T, s *server) {
			header := http.Header{"X-From": {"192.0.2.1"}}
			id := s.connected()
			streaming := s.connected()
			socket, _, err := s.upgrade("", header)
			if err != nil {
				t.Fatal(err)
			}
			held := make(chan error, 1)
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			go func() {
				_, err := s.do(request{body: connect(id, `"1"`), header: from("192.0.2.1"), ctx: ctx})
				held <- err
			}()
			synctest.Wait()
			stream := s.streamAt("/"+streaming, from("192.0.2.1"))
			synctest.Wait()

			res, err := s.do(request{body: handshakeMessage, header: from("192.0.2.1")})
			if err != nil {
				t.Fatal(err)
			}
			tooEarlyHTTP(t, res.status, res.header)
			_, upgrade, err := s.upgrade("", header)
			if err == nil {
				t.Fatal("a fourth connection was let in")
			}
			tooEarlyHTTP(t, upgrade.status, upgrade.header)
			ok(t, s.sent("192.0.2.2", handshakeMessage))

			for _, c := range []struct {
				name string
				end  func()
			}{
				{"socket", func() { socket.ws.Close() }}, {"poll", hangUp}, {"stream", func() { stream.cancel() }},
			} {
				c.end()
				synctest.Wait()
				if c.name == "poll" {
					if err := <-held; err == nil {
						t.Error("the poll was answered")
					}
				}
				again, _, err := s.upgrade("", header)
				if err != nil {
					t.Fatalf("after the end of the %s: %v", c.name, err)
				}
				defer again.ws.Close()
			}
			if _, _, err := s.upgrade("", header); err == nil {
				t.Error("a fourth connection was let in")
			}
			equal(t, "refused", s.h.Stats().Refused[RefusedAddressConnections], 3)
		})
	}},
	{99, "messages_of_an_address", func(t *testing.T) {
		limited(t, Limits{AddressMessages: 2}, func(t *testing.T, s *server) {
			// Ten at once, in any number of sessions and requests.
			id := s.sent("192.0.2.1", handshakeMessage).Get("clientId").Str // is not counted
			var all []string
			for i := range 8 {
				all = append(all, publish(id, strconv.Itoa(i), "/a", strconv.Itoa(i)))
			}
			all = append(all, publish("", `"anonymous"`, "/a", "1"), subscribe(id, `"s"`, `"/a"`))
			over := []string{publish(id, `"p"`, "/a", "1"), subscribe(id, `"s2"`, `"/b"`), msg("/meta/unsubscribe", id, `"u"`, `"subscription":"/a"`), connect(id, `"c"`)}
			bye := msg("/meta/disconnect", id, `"d"`, "")
			ms := s.send(request{body: "[" + strings.Join(append(append(all, over...), bye), ",") + "]", header: from("192.0.2.1")})
			for _, m := range all {
				ok(t, ms.with(t, gjson.Get(m, "id").Raw))
			}
			for _, m := range over {
				r := ms.with(t, gjson.Get(m, "id").Raw)
				if r.Get("channel").Str == "/meta/connect" {
					tooEarly(t, r, "retry", "Too many messages")
				} else {
					fails(t, r, "429::Too many messages")
				}
			}
			ok(t, ms.with(t, `"d"`))

			// The next request is refused unread.
			res, err := s.do(request{body: "{bad", header: from("192.0.2.1")})
			if err != nil {
				t.Fatal(err)
			}
			tooEarlyHTTP(t, res.status, res.header)
			ok(t, s.sent("192.0.2.2", publish("", `"1"`, "/a", "1")))
			time.Sleep(500 * time.Millisecond)
			ok(t, s.sent("192.0.2.1", publish("", `"1"`, "/a", "1")))
			equal(t, "refused", s.h.Stats().Refused[RefusedAddressMessages], 5)
			synctest.Wait()
			s.h.addresses.with(netip.MustParseAddr("192.0.2.1"), 0, func(x *address) { equal(t, "requests under way", x.open, 0) })
		})
	}},
	{99, "messages_of_a_session", func(t *testing.T) {
		limited(t, Limits{SessionMessages: 2}, func(t *testing.T, s *server) {
			c := s.socket()
			id, other := c.handshake(), c.handshake()
			for i := range 2 * burst {
				ok(t, c.ask(publish(id, strconv.Itoa(i), "/a", strconv.Itoa(i))))
			}
			fails(t, c.ask(publish(id, `"x"`, "/a", `"x"`)), "429:") // on this door, whose arguments are about the session
			fails(t, c.ask(subscribe(id, `"s"`, `"/a"`)), "429")
			tooEarly(t, c.ask(connect(id, `"c"`)), "retry", "Too many messages")
			ok(t, c.ask(publish(other, `"o"`, "/a", "1")))
			time.Sleep(500 * time.Millisecond)
			ok(t, c.ask(publish(id, `"y"`, "/a", `"y"`)))
			equal(t, "refused", s.h.Stats().Refused[RefusedSessionMessages], 3)
			ok(t, c.ask(msg("/meta/disconnect", id, `"d"`, "")))
		})
	}},
	{47, "many_clients_of_one_address_that_lose_their_sessions", func(t *testing.T) {
		// A hundred, as after a restart of a balancer that forgot who is where; each does as it is told, for two minutes. Faye's
		// would handshake 55 times a second, CometD's 150 times.
		bubble(t, func(t *testing.T, s *server) {
			const clients, length = 100, 2 * time.Minute
			done := make(chan int)
			for range clients {
				go func() {
					handshakes := 0
					for end := time.Now().Add(length); time.Now().Before(end); handshakes++ {
						m := s.post(connect("lost", `"1"`))[0]
						s.handshake()
						time.Sleep(time.Duration(m.Get("advice.interval").Int()) * time.Millisecond)
					}
					done <- handshakes
				}()
			}
			all := 0
			for range clients {
				all += <-done
			}
			if all > clients*10 {
				t.Errorf("%d handshakes of %d clients in %v", all, clients, length)
			}
		})
	}},
	{30, "what_has_expired_is_no_bad_token", func(t *testing.T) {
		limited(t, Limits{BadTokens: 2}, func(t *testing.T, s *server) {
			for range 10 {
				fails(t, s.sent("192.0.2.1", withToken("late", handshakeMessage)), "403::Credential expired")
			}
			ok(t, s.sent("192.0.2.1", withToken("good", handshakeMessage)))
		}, func(o *Options, _ *broker.Options) {
			o.Authenticator = authenticatorFunc(func(token string) (broker.Principal, error) {
				if token == "late" {
					return broker.Principal{}, broker.ErrCredentialExpired
				}
				return tokens{}.Authenticate(context.Background(), token)
			})
		})
	}},
	{30, "bad_tokens_are_not_looked_at_for_ever", func(t *testing.T) {
		looked := 0
		limited(t, Limits{BadTokens: 5}, func(t *testing.T, s *server) {
			with := func(token, message string) string {
				return strings.Replace(message, "{", `{"ext":{"token":"`+token+`"},`, 1)
			}
			session := s.sent("192.0.2.1", with("good", handshakeMessage)).Get("clientId").Str
			for range 4 {
				m := s.sent("192.0.2.1", with("bad", handshakeMessage))
				fails(t, m, "403::Handshake denied")
				equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
			}
			// One bad token on one message hurts that message only.
			ms := s.send(request{header: from("192.0.2.1"), body: "[" + with("bad", publish(session, `"1"`, "/a", "1")) + "," +
				publish(session, `"2"`, "/a", "1") + "]"})
			fails(t, ms.with(t, `"1"`), "403:/a:Authentication required")
			ok(t, ms.with(t, `"2"`))
			equal(t, "looked at", looked, 6)

			// The five are used up: nothing is verified, and the advice grows.
			var least int64
			for range 50 {
				m := s.sent("192.0.2.1", with("good", handshakeMessage))
				tooEarly(t, m, "handshake", "Too many refused credentials")
				least = m.Get("advice.interval").Int()
			}
			if least < 10_000 {
				t.Errorf("an interval of %d ms after 50 attempts", least)
			}
			fails(t, s.sent("192.0.2.1", with("good", subscribe(session, `"1"`, `"/a"`))), "429::Too many refused credentials")
			fails(t, s.sent("192.0.2.1", with("good", publish(session, `"1"`, "/a", "2"))), "429:/a:Too many refused credentials")
			res := s.send(request{body: handshakeMessage, header: map[string]string{"X-From": "192.0.2.1", "Authorization": "Bearer good"}})
			tooEarly(t, res[0], "handshake", "Too many refused credentials")
			equal(t, "looked at", looked, 6)
			equal(t, "refused unlooked", s.h.Stats().Refused[RefusedUnlooked], 53)
			equal(t, "refused", s.h.Stats().Refused[RefusedCredential], 5)

			// Nobody else is hurt: who shows no token, who has a session, other addresses.
			ok(t, s.sent("192.0.2.1", handshakeMessage))
			ok(t, s.sent("192.0.2.1", publish(session, `"3"`, "/a", "1")))
			ok(t, s.sent("192.0.2.2", with("good", handshakeMessage)))

			// Nor the good token of that address for long, even while others go on: being refused costs nothing.
			for range 4 {
				fails(t, s.sent("192.0.2.1", with("good", handshakeMessage)), "429")
				time.Sleep(broker.DamperPause / 4)
			}
			ok(t, s.sent("192.0.2.1", with("good", handshakeMessage)))
			ok(t, s.sent("192.0.2.1", with("good", handshakeMessage)))
			fails(t, s.sent("192.0.2.1", with("bad", handshakeMessage)), "403")
			fails(t, s.sent("192.0.2.1", with("good", handshakeMessage)), "429")
		}, func(o *Options, _ *broker.Options) {
			o.Authenticator = authenticatorFunc(func(token string) (broker.Principal, error) {
				looked++
				return tokens{}.Authenticate(context.Background(), token)
			})
		})
	}},
	{30, "a_socket_whose_token_was_not_looked_at_is_looked_at_later", func(t *testing.T) {
		limited(t, Limits{BadTokens: 1}, func(t *testing.T, s *server) {
			fails(t, s.sent("192.0.2.1", withToken("bad", handshakeMessage)), "403")
			c, _, err := s.upgrade("", http.Header{"X-From": {"192.0.2.1"}, "Authorization": {"Bearer good"}})
			if err != nil {
				t.Fatal(err)
			}
			tooEarly(t, c.ask(handshakeMessage), "handshake", "Too many refused credentials")
			time.Sleep(broker.DamperPause)
			ok(t, c.ask(publish(c.handshake(), `"1"`, "/token/a", "1")))
		})
	}},
	{95, "drain_is_paced", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			const n, drain = 100, 10 * time.Second
			start, ends := time.Time{}, make(chan time.Duration, 2*n)
			for range n {
				answer := s.poll(connect(s.connected(), `"1"`))
				c := s.socket()
				c.connected()
				go func() { <-answer; ends <- time.Since(start) }()
				go func() {
					for range c.frames {
					}
					ends <- time.Since(start)
				}()
			}
			time.Sleep(time.Second) // all are held
			start = time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), drain)
			defer cancel()
			if err := s.h.Shutdown(ctx); err != nil {
				t.Error("Shutdown:", err)
			}
			var inSecond [drain / time.Second]int
			for range 2 * n {
				inSecond[min(<-ends, drain-1)/time.Second]++
			}
			for i, gone := range inSecond[:4] { // fifty a second, and more only if the time is too short for that
				if gone < n/4 || gone > n {
					t.Errorf("in second %d of the drain %d of %d left: %v", i, gone, 2*n, inSecond)
				}
			}
		}, func(o *Options, _ *broker.Options) { o.Timeout = time.Minute })
	}},
	{99, "who_is_too_slow_is_told_so", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			held, c := s.connected(`"/a"`), s.socket()
			c.connected(`"/a"`)
			answer := s.poll(connect(held, `"1"`))
			synctest.Wait()
			// Both take what comes at once, so their queues are made to seem full: what ends a session says why.
			for _, session := range s.b.Sessions() {
				session.Close(&broker.Error{Kind: broker.SlowConsumer, Text: "full"})
			}
			for _, m := range []gjson.Result{(<-answer).with(t, `"1"`), c.next()} {
				fails(t, m, "408::Session too slow")
				equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
				if n := m.Get("advice.interval").Int(); n < 1000 {
					t.Errorf("an interval of %d ms", n)
				}
			}
		})
	}},
}

func TestAddresses_are_bounded_and_forgotten(t *testing.T) {
	var table addresses
	rate := broker.NewRate(time.Second, 10)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 100 { // they have something open, and stay
		table.enter(&caller{address: at(i)}, 0, 0, (*address).openCount)
	}
	for i := range 3 * maxAddresses {
		table.with(at(1000+i), 0, func(x *address) { x.messages.Take(rate, 0, 5) })
	}
	if n := len(table.known); n > maxAddresses+1 {
		t.Errorf("%d are known", n)
	}
	for i := range 100 {
		n := 0
		table.with(at(i), 0, func(x *address) { n = x.open })
		equal(t, fmt.Sprint("open of ", i), n, 1)
		table.leave(&caller{address: at(i)}, 0, (*address).openCount)
	}
	// Later all are at rest; whoever is looked at is forgotten.
	before := len(table.known)
	for who := range table.known {
		table.with(who.Addr(), int64(time.Hour), func(*address) {})
	}
	equal(t, "known before", before > 1000, true)
	equal(t, "known later", len(table.known), 0)
	for range 2 {
		equal(t, "let in without an address", table.enter(&caller{}, 0, 1, (*address).openCount), true)
	}
}

// A caller that knows where it stands in the table is counted like one that does not, also when it has been forgotten meanwhile, and when it is somebody else.
func TestAddresses_know_who_comes_again(t *testing.T) {
	var table addresses
	at := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, i}) }
	open := func(i byte) (n int) {
		table.with(at(i), 0, func(x *address) { n = x.open })
		return n
	}
	again, other := &caller{address: at(1)}, &caller{address: at(1)}
	for range 2 {
		table.enter(again, 0, 0, (*address).openCount)
		equal(t, "open", open(1), 1)
		table.leave(again, 0, (*address).openCount)
		equal(t, "known", len(table.known), 0) // it is at rest
		equal(t, "one may come", table.enter(other, 0, 1, (*address).openCount), true)
		equal(t, "and another", table.enter(again, 0, 1, (*address).openCount), false)
		equal(t, "open", open(1), 1)
		table.leave(other, 0, (*address).openCount)
	}
	table.enter(again, 0, 0, (*address).openCount)
	other.isOf(at(1))
	other.isOf(at(2))
	table.enter(other, 0, 0, (*address).openCount)
	equal(t, "open", open(1), 1)
	equal(t, "open of the other", open(2), 1)
	rate, fresh := broker.NewRate(time.Second, 10), byte(0)
	for len(table.known) < maxAddresses { // who has nothing open gives way, and is not known any more
		fresh++
		table.with(netip.AddrFrom4([4]byte{11, byte(len(table.known) >> 8), byte(len(table.known)), fresh}), 0, func(x *address) { x.messages.Take(rate, 0, 5) })
	}
	victim := &caller{address: netip.AddrFrom4([4]byte{12, 0, 0, 1})}
	for i := range 100 * maxAddresses {
		table.withAgain(victim, 0, func(x *address) { x.messages.Take(rate, 0, 1) })
		table.with(netip.AddrFrom4([4]byte{13, byte(i >> 16), byte(i >> 8), byte(i)}), 0, func(x *address) { x.messages.Take(rate, 0, 5) })
		if !victim.known.listed {
			break
		}
	}
	equal(t, "it gave way", victim.known.listed, false)
	table.enter(victim, 0, 0, (*address).openCount)
	equal(t, "it is known again", table.known[victim.known.who] == victim.known, true)
}

// slow is an authorizer that thinks about everything for some time.
type slow time.Duration

func (d slow) Authorize(context.Context, broker.Principal, broker.Action, broker.Pattern) error {
	time.Sleep(time.Duration(d))
	return nil
}

// The messages of a batch have their turn one after the other, and each is measured by when that is: what those before it waited for is time that has passed.
func TestLimits_a_batch_that_takes_its_time(t *testing.T) {
	for name, limits := range map[string]Limits{"of a session": {SessionMessages: 1}, "of an address": {AddressMessages: 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.handshake()
				time.Sleep(burst * time.Second)
				var batch []string
				for i := range 4 * burst {
					batch = append(batch, publish(id, fmt.Sprintf(`"%d"`, i), "/a", "1"))
				}
				for _, m := range s.post("[" + strings.Join(batch, ",") + "]") {
					ok(t, m)
				}
			}, func(o *Options, bo *broker.Options) {
				o.Limits, o.MaxInterval, bo.Authorizer = limits, time.Hour, slow(2*time.Second)
				o.ClientAddress = func(*http.Request) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, 1}) }
			})
		})
	}
}
