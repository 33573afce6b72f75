package outbox

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker/outbox/park"
)

// watcher is a source that is told of the end, once.
type watcher struct {
	fill
	nc     net.Conn
	closed chan error // what nc says to a reader by then
}

func watch(nc net.Conn) *watcher {
	return &watcher{fill: func(*Scratch) []byte { return nil }, nc: nc, closed: make(chan error, 10)}
}

func (w *watcher) Closed() {
	_, err := w.nc.Read(make([]byte, 1)) // it does not block
	w.closed <- err
}

var _ CloseWatcher = (*watcher)(nil)

// stuff writes more than the socket takes: from then on the connection is parked.
func stuff(t testing.TB, c *Conn) {
	t.Helper()
	if err := c.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
}

// Whatever closes a connection, its Source is told, once, and when it is closed.
func TestConn_tells_its_source_of_every_end(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *Conn, client net.Conn){
		"close":  func(_ *testing.T, c *Conn, _ net.Conn) { c.Close() },
		"finish": func(_ *testing.T, c *Conn, _ net.Conn) { _ = c.Finish() },
		"finish behind what waits": func(t *testing.T, c *Conn, client net.Conn) {
			stuff(t, c)
			_ = c.Finish()
			_, _ = io.Copy(io.Discard, client)
		},
		"close with what waits": func(t *testing.T, c *Conn, _ net.Conn) {
			stuff(t, c)
			c.Close()
		},
		"too much waits": func(_ *testing.T, c *Conn, _ net.Conn) {
			for c.Write(make([]byte, 64<<10)) == nil {
			}
		},
		"nothing is taken for long": func(t *testing.T, c *Conn, _ net.Conn) {
			c.shard.outbox.opts.WriteTimeout = time.Millisecond
			stuff(t, c)
		},
		"a write fails": func(_ *testing.T, c *Conn, client net.Conn) {
			client.Close()
			for c.Write([]byte("x")) == nil {
				runtime.Gosched()
			}
		},
	} {
		for wrapping, wrap := range wrappings {
			t.Run(name+"/"+wrapping, func(t *testing.T) {
				x := New(Options{})
				defer x.Close()
				server, client := socketPair(t)
				defer client.Close()
				_, _ = server.(*net.TCPConn).SetWriteBuffer(16<<10), client.(*net.TCPConn).SetReadBuffer(16<<10)
				w := watch(server)
				c := x.Attach(wrap(server), w)
				end(t, c, client)
				if err := <-w.closed; !errors.Is(err, net.ErrClosed) {
					t.Errorf("it was told when a reader would see %v", err)
				}
				c.Close()
				_ = c.Finish()
				_ = c.Write([]byte("x"))
				if len(w.closed) > 0 {
					t.Error("it was told again")
				}
			})
		}
	}
}

// parkedSource is how a parked socket learns that the outbox has closed it.
type parkedSource struct {
	fill
	socket park.Socket
	ended  chan struct{}
	conn   atomic.Pointer[Conn]
}

func (p *parkedSource) Closed() { p.socket.Ring() }

func (p *parkedSource) Run(w *park.Worker, _ park.Happened) bool {
	for {
		switch n, err := w.Read(&p.socket); {
		case err != nil || n == 0:
			p.socket.Leave()
			_ = p.conn.Load().Close() // and so it is rung from within
			select {
			case p.ended <- struct{}{}:
			default:
			}
			return true
		case n < 0:
			return true
		}
	}
}

func TestConn_that_is_closed_rings_a_parked_socket(t *testing.T) {
	lot := park.New(1)
	defer lot.Close()
	x := New(Options{})
	defer x.Close()
	for range 100 {
		server, client := socketPair(t)
		p := &parkedSource{fill: func(*Scratch) []byte { return nil }, ended: make(chan struct{}, 1)}
		if err := p.socket.Park(lot, server, p); err != nil { // before Attach: from then on it may be closed
			if errors.Is(err, park.ErrNotPlain) {
				t.Skip("no epoll on this system")
			}
			t.Fatal(err)
		}
		c := x.Attach(server, p)
		p.conn.Store(c)
		go c.Close() // before Done or after it
		p.socket.Done()
		<-p.ended
		client.Close()
	}
}
