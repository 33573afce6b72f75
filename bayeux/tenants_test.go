package bayeux

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"waft/broker"
)

// tenantsServer takes the client's address from the field X-From, and counts the requests that are made for it.
func tenantsServer(t *testing.T, set ...func(*Options, *broker.Options)) (s *server, address string, asked *atomic.Int64) {
	s = newServer(t, append(set, handedBack, longLived, func(o *Options, _ *broker.Options) {
		o.ClientAddress = func(r *http.Request) netip.Addr {
			a, _ := netip.ParseAddr(r.Header.Get("X-From"))
			return a
		}
	})...)
	asked = new(atomic.Int64)
	return s, s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		s.h.ServeHTTP(w, r)
	})}), asked
}

// pollFrom is the poll of the nth client, as its proxy sends it. The odd ones are pages.
func pollFrom(n int, id string) []byte {
	return []byte(strings.Replace(string(rawPost(connect(id, `"1"`))), "\r\n", fmt.Sprintf("\r\nX-From: 192.0.2.%d\r\nCookie: client=%d\r\n%s", n, n, origin(n)), 1))
}

func origin(n int) string {
	if n%2 == 0 {
		return ""
	}
	return "Origin: " + page + "\r\n"
}

// openOf is how much the nth client has open.
func (s *server) openOf(n int) (open int) {
	s.h.addresses.with(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 0, func(x *address) { open = x.open })
	return open
}

// Clients whose polls a proxy sends over connections that they share are known by their heads on all of them, and each is served as itself.
func TestTenants_share_connections(t *testing.T) {
	onLinux(t)
	s, address, asked := tenantsServer(t)
	const clients, wires = 4, 3
	var ids [clients]string
	for n := range ids {
		ids[n] = s.connected(fmt.Sprintf(`"/own/%d"`, n))
	}
	var connections [wires]*wire
	for i := range connections {
		connections[i] = s.wireTo(address)
	}
	used := map[*wire]bool{}
	poll := func(w *wire, n, number int) {
		t.Helper()
		w.send(pollFrom(n, ids[n]))
		s.polling(1, len(used)-map[bool]int{true: 1}[used[w]])
		used[w] = true
		eventually(t, func() bool { return s.openOf(n) == 1 }) // the request counts as well until its handler has returned
		for other := range clients {
			equal(t, fmt.Sprint("open of client ", other, " in the poll of ", n), s.openOf(other), map[bool]int{true: 1}[other == n])
		}
		s.event(fmt.Sprintf("/own/%d", n), fmt.Sprint(number))
		res, body := w.next()
		equal(t, "event", strings.Contains(body, fmt.Sprintf(`"data":%d`, number)), true)
		equal(t, "allowed", res.header.Get("Access-Control-Allow-Origin"), strings.TrimSuffix(strings.TrimPrefix(origin(n), "Origin: "), "\r\n"))
		s.idleNow(len(used))
	}
	for i := range 2 * clients {
		poll(connections[0], i%clients, i)
	}
	equal(t, "asked until all are known", asked.Load(), int64(clients+2)) // of the first two it was not known that they are several
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		poll(connections[r.IntN(wires)], r.IntN(clients), 100+i)
	}
	equal(t, "asked", asked.Load(), int64(clients+2+wires-1)) // and for the first on each connection
	equal(t, "known", len(s.h.tenants.known), clients)
}

// What is decided with each request is decided for the client whose it is.
func TestTenants_have_limits_of_their_own(t *testing.T) {
	onLinux(t)
	s, address, asked := tenantsServer(t, func(o *Options, _ *broker.Options) { o.Limits.AddressConnections = 1 })
	ids := []string{s.connected(`"/own/0"`), s.connected(`"/own/1"`)}
	one, other := s.wireTo(address), s.wireTo(address)
	for i := range 4 {
		one.send(pollFrom(i%2, ids[i%2]))
		s.polling(1, 0)
		s.event(fmt.Sprintf("/own/%d", i%2), "1")
		one.messages()
		s.idleNow(1)
	}
	known := asked.Load()
	one.send(pollFrom(0, ids[0]))
	s.polling(1, 0)
	equal(t, "asked about one that is known", asked.Load(), known)
	for range 2 {
		other.send(pollFrom(0, ids[0]))
		res, _ := other.next()
		equal(t, "answer to a second connection of the client", res.status, http.StatusTooManyRequests)
		other.send(pollFrom(1, ids[1]))
		s.polling(2, 0)
		s.event("/own/1", "2")
		equal(t, "event", strings.Join(other.messages().events(), ","), "2")
	}
	s.event("/own/0", "3")
	equal(t, "event", strings.Join(one.messages().events(), ","), "3")
	s.polling(0, 2)
	equal(t, "open", s.openNow(), 0)
}

// Connections of one client are not in the table, though it may show a token at times.
func TestTenants_of_connections_with_one_client(t *testing.T) {
	onLinux(t)
	s, address, _ := tenantsServer(t)
	id := s.connected(`"/a"`)
	w := s.wireTo(address)
	for i := range 9 {
		request := string(pollFrom(1, id))
		if i%3 == 2 {
			request = strings.Replace(request, "Cookie: ", "Authorization: ", 1)
		}
		w.send([]byte(request))
		s.heldNow(1)
		s.event("/a", "1")
		w.messages()
		s.idleNow(1)
	}
	equal(t, "known", len(s.h.tenants.known), 0)
}

// A head is known where it came from, and nowhere else.
func TestTenants_are_known_by_where_they_come_from(t *testing.T) {
	h := new(Handler)
	back := &handback{h: h}
	at := func(remote, local string, b *handback) *heldPoll {
		return &heldPoll{back: b, remote: netip.MustParseAddrPort(remote), kind: &kind{local: netip.MustParseAddrPort(local)}}
	}
	const head, body = "POST / HTTP/1.1\r\nCookie: x\r\n\r\n", "[{}]"
	c := at("10.0.0.1:1000", "10.0.0.2:80", back)
	c.mark, c.caller = markOf([]byte(head), len(body)), caller{address: netip.MustParseAddr("192.0.2.1")}
	h.tenants.add(c)
	for name, c := range map[string]struct {
		of    *heldPoll
		raw   string
		known bool
	}{
		"another connection": {at("10.0.0.1:2000", "10.0.0.2:80", back), head + body, true},
		"another proxy":      {at("10.0.0.3:1000", "10.0.0.2:80", back), head + body, false},
		"another listener":   {at("10.0.0.1:1000", "10.0.0.2:81", back), head + body, false},
		"another server":     {at("10.0.0.1:1000", "10.0.0.2:80", &handback{h: h}), head + body, false},
		"another length":     {at("10.0.0.1:1000", "10.0.0.2:80", back), head + body + " ", false},
		"another head":       {at("10.0.0.1:1000", "10.0.0.2:80", back), strings.Replace(head, "x", "y", 1) + body, false},
		"half a head":        {at("10.0.0.1:1000", "10.0.0.2:80", back), head[:20], false},
	} {
		equal(t, name, c.of.tenant([]byte(c.raw)), c.known)
		equal(t, name+" is the client's", c.of.address.IsValid(), c.known)
	}
}

func TestTenants_are_bounded(t *testing.T) {
	h := new(Handler)
	c := &heldPoll{back: &handback{h: h}, kind: new(kind)}
	for i := range 2 * maxTenants {
		c.mark = mark{sum: uint64(i), head: 1}
		if h.tenants.add(c); len(h.tenants.known) > maxTenants {
			t.Fatalf("%d are known", len(h.tenants.known))
		}
	}
}
