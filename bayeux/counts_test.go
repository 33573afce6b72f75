package bayeux

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/broker"
)

// leftover is what is counted of clients, which is nothing when they have gone: connections here, polls, and what addresses have open and as sessions.
func (s *server) leftover() string {
	open, sessions, least := 0, 0, 0
	s.h.addresses.mu.Lock()
	for who, a := range s.h.addresses.known {
		open, sessions, least = open+a.open, sessions+a.sessions, min(least, a.open, a.sessions)
		if a.who != who || !a.listed {
			s.t.Errorf("in the table %v is %+v", who, a)
		}
	}
	s.h.addresses.mu.Unlock()
	stats := s.h.Stats()
	return fmt.Sprintf("%d connections, %d polls, %d open, %d of %d sessions, least %d", s.connections(), stats.Polls, open, sessions, stats.Sessions, least)
}

// Clients do what they can, in good order and in bad, each under many addresses, while limits are changed and strangers fill the table: when all have
// gone, nothing of them is counted any more.
func TestCounts_come_to_nothing(t *testing.T) {
	for _, pure := range []bool{true, false} {
		t.Run(fmt.Sprint("nothing that minds in front: ", pure), func(t *testing.T) { countsComeToNothing(t, pure) })
	}
}

func countsComeToNothing(t *testing.T, pure bool) {
	s := newServer(t, handedBack, func(o *Options, bo *broker.Options) {
		o.Timeout, o.MaxInterval, o.PureFront = 100*time.Millisecond, time.Minute, pure
		o.Limits.SessionMessages = 1 << 20
		o.ClientAddress = func(r *http.Request) netip.Addr { a, _ := netip.ParseAddr(r.Header.Get("X-From")); return a }
	})
	address := s.newWeb(&http.Server{IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Panic") == "before" {
			panic(http.ErrAbortHandler)
		}
		s.h.ServeHTTP(w, r)
		if r.Header.Get("X-Panic") == "behind" {
			panic(http.ErrAbortHandler)
		}
	})})
	ids := make(chan string, 100)
	seed := rand.Uint64()
	t.Log("seed", seed)
	over := make(chan struct{})
	var clients, others sync.WaitGroup
	for i := range uint64(8) {
		c := &erratic{t: t, rnd: rand.New(rand.NewPCG(seed, i)), address: address, ids: ids}
		clients.Go(func() { c.live(80) })
	}
	others.Go(func() { disturb(s, over) })
	clients.Wait()
	close(over)
	others.Wait()
	sessions, _ := s.h.everything()
	for _, session := range sessions {
		session.queue.Close(nil)
	}
	want := "0 connections, 0 polls, 0 open, 0 of 0 sessions, least 0"
	for range 5000 {
		if s.leftover() == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	equal(t, "left", s.leftover(), want)
}

// disturb publishes, changes the limits, and has strangers fill the table.
func disturb(s *server, over <-chan struct{}) {
	rate := broker.NewRate(time.Second, 10)
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		case <-time.After(time.Millisecond):
		}
		if n%4 == 0 {
			s.event("/a", fmt.Sprint(n))
		}
		if err := s.h.SetLimits(Limits{SessionMessages: 1 << 20, AddressConnections: n / 4 % 3, AddressMessages: n / 8 % 2 * 1000}); err != nil {
			s.t.Error(err)
		}
		for i := range 200 {
			at := netip.AddrFrom4([4]byte{11, byte(n >> 8), byte(n), byte(i)})
			s.h.addresses.with(at, s.h.now(), func(x *address) { x.messages.Take(rate, s.h.now(), 1) })
		}
	}
}

// erratic is a client whose next step nobody knows.
type erratic struct {
	t       *testing.T
	rnd     *rand.Rand
	address string
	ids     chan string // of sessions that live, more or less

	nc   net.Conn
	wire *wire
	id   string
}

func (c *erratic) live(steps int) {
	for range steps {
		if c.nc == nil {
			nc, err := net.Dial("tcp", c.address)
			if err != nil {
				c.t.Error(err)
				return
			}
			c.nc, c.wire = nc, &wire{c.t, nc, newReader(nc)}
		}
		if c.id == "" && !c.begin() || !c.step() {
			c.leave()
		}
	}
	c.leave()
}

func (c *erratic) leave() {
	if c.nc == nil {
		return
	}
	switch c.rnd.IntN(3) {
	case 0:
		_ = c.nc.(*net.TCPConn).SetLinger(0)
	case 1:
		_ = c.nc.(*net.TCPConn).CloseWrite()
		_ = c.nc.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, c.nc)
	}
	c.nc.Close()
	c.nc = nil
	if c.rnd.IntN(4) == 0 {
		c.id = ""
	}
}

// post is a request with a head that was there before, or not.
func (c *erratic) post(body string) []byte {
	fields := fmt.Sprintf("X-From: 10.0.0.%d\r\n", c.rnd.IntN(2))
	for chance, field := range map[int]string{
		1: "X-From: 2001:db8::1\r\n", 2: "X-From: nobody\r\n", 3: "Origin: " + page + "\r\n", 4: "Connection: close\r\n", 5: "X-Panic: before\r\n",
		6: "X-Panic: behind\r\n", 7: "Cookie: a=b\r\n", 8: "Authorization: Bearer good\r\n",
	} {
		if c.rnd.IntN(40) == chance {
			fields = field + fields
		}
	}
	return bytes.Replace(rawPost(body), []byte("\r\n"), []byte("\r\n"+fields), 1)
}

// ask sends a request, in pieces or not, and reads the response; ok is false when the connection is of no use any more.
func (c *erratic) ask(request []byte, responses int) (body string, ok bool) {
	for len(request) > 0 {
		n := len(request)
		if c.rnd.IntN(8) == 0 {
			n = 1 + c.rnd.IntN(n)
		}
		if _, err := c.nc.Write(request[:n]); err != nil {
			return "", false
		}
		request = request[n:]
	}
	for range responses {
		res, err := http.ReadResponse(c.wire.r, nil)
		if err != nil {
			return "", false
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.Close {
			return "", false
		}
		body = string(b)
	}
	return body, true
}

func (c *erratic) begin() bool {
	body, ok := c.ask(c.post("["+handshakeMessage+"]"), 1)
	if !ok || !strings.Contains(body, `"successful":true`) {
		return false
	}
	c.id = parseReply(c.t, body)[0].Get("clientId").Str
	c.told(c.id)
	_, ok = c.ask(c.post("["+subscribe(c.id, `"s"`, `"/a"`)+"]"), 1)
	return ok
}

// told lets others know of a session.
func (c *erratic) told(id string) {
	select {
	case c.ids <- id:
	default:
	}
}

func (c *erratic) step() (ok bool) {
	id := c.id
	if c.rnd.IntN(4) == 0 { // somebody else's
		select {
		case id = <-c.ids:
			c.told(id)
		default:
		}
	}
	number := fmt.Sprintf(`"%d"`, c.rnd.IntN(10))
	body := ""
	switch c.rnd.IntN(20) {
	case 0:
		_, ok = c.ask(c.post(publish(id, number, "/a", "1")), 1)
	case 1:
		_, ok = c.ask(c.post(connectNow(id, number)), 1)
	case 2:
		_, ok = c.ask(append(c.post(connect(id, number)), c.post(publish(id, number, "/b", "1"))...), 2)
	case 3:
		_, ok = c.ask([]byte("GET /other HTTP/1.1\r\nHost: waft.test\r\n\r\n"), 1)
	case 4:
		q := url.Values{"message": {connect(id, number)}, "jsonp": {"f"}}
		_, ok = c.ask([]byte("GET /bayeux?"+q.Encode()+" HTTP/1.1\r\nHost: waft.test\r\nX-From: 10.0.0.1\r\n\r\n"), 1)
	case 5:
		_, ok = c.ask(c.post(msg("/meta/disconnect", id, number, "")), 1)
	case 6: // without the answer
		_, _ = c.ask(c.post(connect(id, number)), 0)
	case 7: // nor the rest
		request := c.post(connect(id, number))
		_, _ = c.ask(request[:1+c.rnd.IntN(len(request))], 0)
	case 8:
		_, ok = c.ask(c.post("{"), 1)
	default:
		body, ok = c.ask(c.post(connect(id, number)), 1)
	}
	if id == c.id && strings.Contains(body, `"401:`) { // it has disconnected, or somebody else has for it
		c.id = ""
	}
	return ok
}
