//go:build linux

package park

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// ending parks here, and tells of each time that it is gone; then it is closed, as its owner would.
func ending(t testing.TB, x *Lot, e *End, here net.Conn) <-chan struct{} {
	t.Helper()
	gone := make(chan struct{}, 10)
	if !e.Park(x, here, func() { here.Close(); gone <- struct{}{} }) {
		t.Fatal("it cannot be parked")
	}
	return gone
}

// Whatever comes, it is the end; before it is parked or after it.
func TestEnd_is_whatever_comes(t *testing.T) {
	for name, leave := range map[string]func(there *net.TCPConn){
		"the peer closes":        func(there *net.TCPConn) { there.Close() },
		"the peer ends its half": func(there *net.TCPConn) { _ = there.CloseWrite() },
		"the peer resets":        func(there *net.TCPConn) { _ = there.SetLinger(0); there.Close() },
		"a byte":                 func(there *net.TCPConn) { _, _ = io.WriteString(there, "x") },
		"a request":              func(there *net.TCPConn) { _, _ = io.WriteString(there, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		"a byte and the end":     func(there *net.TCPConn) { _, _ = io.WriteString(there, "x"); _ = there.CloseWrite() },
	} {
		for _, before := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				x := New(1)
				here, there := pair(t)
				if before {
					leave(there)
				}
				gone := ending(t, x, new(End), here)
				if !before {
					leave(there)
				}
				<-gone
				x.Close()
				equal(t, "told again", len(gone), 0)
				equal(t, "places taken", taken(x), 0)
			})
		}
	}
}

// taken counts the places of the lot's tables that are.
func taken(x *Lot) (n int) {
	for _, l := range x.list {
		l.table.mu.Lock()
		n += len(l.table.places) - len(l.table.free)
		l.table.mu.Unlock()
	}
	return n
}

// The bytes that ended it have been read: with them unread, to close would reset, and the peer would lose what is on its way to it.
func TestEnd_by_bytes_is_no_reset(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	write(t, here, "the last event")
	gone := ending(t, x, new(End), here)
	write(t, there, strings.Repeat("x", 100))
	<-gone
	if b, err := io.ReadAll(there); err != nil || string(b) != "the last event" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestEnd_is_found_by_ringing_once_it_is_closed(t *testing.T) {
	x := lot(t)
	here, _ := pair(t)
	e := new(End)
	gone := ending(t, x, e, here)
	other, there := pair(t)
	second := ending(t, x, new(End), other)
	for range 100 {
		e.Ring()
	}
	there.Close() // behind it in the list
	<-second
	equal(t, "ended by ringing alone", len(gone), 0)
	here.Close()
	e.Ring()
	<-gone
}

// Whoever closes it while it is being parked rings in vain.
func TestEnd_is_found_by_itself_if_it_was_closed_too_early(t *testing.T) {
	x := lot(t)
	here, _ := pair(t)
	gone := make(chan struct{})
	e := &End{gone: func() { close(gone) }}
	if err := e.socket.Park(x, here, e); err != nil {
		t.Fatal(err)
	}
	here.Close()
	e.Ring()
	e.begin()
	<-gone
}

func TestEnd_not_plain(t *testing.T) {
	x := lot(t)
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	e := new(End)
	e.Ring()
	if e.Park(x, near, func() { t.Error("called") }) {
		t.Error("it was parked")
	}
	e.Ring()
}

// Both sides close and the ringing of each begins at any time. It is told once, always.
func TestEnd_close_races_with_everything(t *testing.T) {
	x := New(2)
	const rounds = 300
	var told atomic.Int64
	var ended sync.WaitGroup
	failed := 0
	for i := range rounds {
		here, there := pair(t)
		e := new(End)
		closeHere := func() { here.Close(); e.Ring() } // as outbox.Conn does
		var racing sync.WaitGroup
		racing.Go(closeHere)
		racing.Go(func() {
			if i%3 == 0 {
				_, _ = there.Write([]byte("x"))
			}
			if i%2 == 0 {
				there.Close()
			}
		})
		racing.Go(closeHere)
		ended.Add(1)
		if !e.Park(x, here, func() { closeHere(); told.Add(1); ended.Done() }) {
			if _, err := here.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("not parked, and it reads %v", err)
			}
			failed++
			ended.Done()
		}
		racing.Wait()
	}
	ended.Wait()
	x.Close()
	equal(t, "told", told.Load(), int64(rounds-failed))
	equal(t, "places taken", taken(x), 0)
}
