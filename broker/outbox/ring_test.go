package outbox

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// handBell is of no outbox.
type handBell chan struct{}

func (b handBell) RingAll(bells []broker.Bell) {
	for i, other := range bells {
		if other == broker.Bell(b) {
			b <- struct{}{}
		} else {
			other.RingAll(bells[i : i+1])
		}
	}
}

// Sessions of one channel may be served by several shards, several outboxes and something else altogether.
func TestConn_RingAll_reaches_every_shard_and_stranger(t *testing.T) {
	x, b := start(t, Options{Shards: 3})
	y := New(Options{Shards: 1})
	t.Cleanup(y.Close)
	const conns, messages = 40, 200
	var readers sync.WaitGroup
	for i := range conns {
		session := brokertest.Open(t, b, broker.SessionOptions{})
		if i%10 == 5 {
			bell := make(handBell, messages)
			session.Rings(bell)
			brokertest.Subscribe(t, session, "/a")
			readers.Go(func() {
				for got := 0; got < messages; got += len(session.Drain(nil)) {
					<-bell
				}
			})
			continue
		}
		server, client := socketPair(t)
		outbox := x
		if i%4 == 0 {
			outbox = y
		}
		c := outbox.Attach(server, &source{session: session})
		t.Cleanup(func() { _ = c.Close() })
		session.Rings(c)
		brokertest.Subscribe(t, session, "/a")
		readers.Go(func() { readLines(t, client, messages) })
	}
	for i := range messages {
		brokertest.Publish(t, b, "/a", fmt.Sprint(i))
	}
	readers.Wait()
}

func readLines(t *testing.T, client net.Conn, n int) {
	defer client.Close()
	want := lines(0, n)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != want {
		t.Errorf("read %d bytes, %v; equal: %v", len(got), err, string(got) == want)
	}
}

// What a peer has read is in the counts.
func TestOutbox_Stats_count_what_has_been_read(t *testing.T) {
	x, b := start(t, Options{Shards: 1})
	const conns = 3
	var clients []net.Conn
	for range conns {
		server, client := socketPair(t)
		defer client.Close()
		c, session := attach(t, x, b, server, broker.SessionOptions{})
		defer c.Close()
		session.Rings(c)
		clients = append(clients, client)
	}
	for i := range uint64(300) {
		brokertest.Publish(t, b, "/a", "1")
		for _, client := range clients {
			if _, err := io.ReadFull(client, make([]byte, len("1\n"))); err != nil {
				t.Fatal(err)
			}
		}
		if s := x.Stats(); s.Writes != conns*(i+1) || s.Bytes != 2*s.Writes {
			t.Fatalf("%+v after %d messages", s, i+1)
		}
	}
}
