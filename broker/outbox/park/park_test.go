//go:build linux

package park

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is two ends of a loopback TCP connection.
func pair(t testing.TB) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, _ := l.Accept()
		accepted <- nc
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, there = (<-accepted).(*net.TCPConn), nc.(*net.TCPConn)
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

func lot(t testing.TB) *Lot {
	x := New(1)
	t.Cleanup(x.Close)
	return x
}

// owner is one of a function.
type owner func(w *Worker, what Happened) bool

func (o owner) Run(w *Worker, what Happened) bool { return o(w, what) }

// parked parks nc for run.
func parked(t testing.TB, x *Lot, nc net.Conn, run owner) *Socket {
	t.Helper()
	s := new(Socket)
	if err := s.Park(x, nc, run); err != nil {
		t.Fatal(err)
	}
	s.Done()
	return s
}

// reader gives what it reads to a channel: an empty text is the end.
func reader(s **Socket, to chan<- string) owner {
	more := false
	return func(w *Worker, what Happened) bool {
		for more = more || what&Readable != 0; more; {
			n, err := w.Read(*s)
			switch {
			case err != nil:
				to <- err.Error()
				more = false
			case n < 0:
				more = false
			default:
				to <- string(w.Buf[:n])
				more = n > 0
			}
		}
		return true
	}
}

func parkReader(t testing.TB, x *Lot, nc net.Conn) (*Socket, <-chan string) {
	t.Helper()
	read := make(chan string, 100)
	s := new(Socket)
	if err := s.Park(x, nc, reader(&s, read)); err != nil {
		t.Fatal(err)
	}
	s.Done()
	return s, read
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func write(t testing.TB, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
}

func TestSocket_is_told_what_comes_and_when_it_ends(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	_, read := parkReader(t, x, here)
	for _, text := range []string{"one", "two", "three"} {
		write(t, there, text)
		equal(t, "read", <-read, text)
	}
	_ = there.CloseWrite()
	equal(t, "end", <-read, "")
}

func TestSocket_is_told_what_was_there_before(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	write(t, there, "early")
	_ = there.CloseWrite()
	_, read := parkReader(t, x, here)
	equal(t, "read", <-read, "early")
	equal(t, "end", <-read, "")
}

// The end comes with what was sent before it: an owner that reads what there is, and no more, has to be told.
func TestSocket_the_end_is_told_together_with_what_came_before_it(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	write(t, there, "last")
	_ = there.CloseWrite()
	if raw, err := here.SyscallConn(); err != nil {
		t.Fatal(err)
	} else { // both have arrived
		_ = raw.Read(func(fd uintptr) bool {
			w := newWorker()
			w.in, w.flags = w.Buf, peek
			return w.reads(fd) && w.n > 0
		})
	}
	told := make(chan Happened, 10)
	parked(t, x, here, func(_ *Worker, what Happened) bool { told <- what; return true })
	for what := Happened(0); what&HungUp == 0; {
		what |= <-told
	}
}

func TestSocket_a_reset_is_an_error_and_told(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	_, read := parkReader(t, x, here)
	_ = there.SetLinger(0)
	there.Close()
	if got := <-read; got != "connection reset by peer" {
		t.Error(got)
	}
}

func TestSocket_peek_leaves_it_there(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	seen := make(chan int, 10)
	s := new(Socket)
	run := owner(func(w *Worker, what Happened) bool {
		n, _ := w.Peek(s)
		seen <- n
		if n > 0 {
			s.Leave()
		}
		return true
	})
	if err := s.Park(x, here, run); err != nil {
		t.Fatal(err)
	}
	s.Done()
	s.Ring()
	equal(t, "nothing", <-seen, -1)
	write(t, there, "hello")
	equal(t, "something", <-seen, 1)
	b := make([]byte, 5)
	if _, err := io.ReadFull(here, b); err != nil || string(b) != "hello" {
		t.Errorf("%q %v", b, err)
	}
}

func TestSocket_write_takes_what_fits_and_says_how_much(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	sent := make(chan int, 1)
	s := new(Socket)
	run := owner(func(w *Worker, _ Happened) bool {
		b, total := bytes.Repeat([]byte("x"), 1<<20), 0
		for {
			n, err := w.Write(s, b)
			total += n
			if err != nil || n == 0 {
				sent <- total
				return true
			}
		}
	})
	if err := s.Park(x, here, run); err != nil {
		t.Fatal(err)
	}
	s.Ring()
	s.Done()
	total := <-sent
	s.Leave()
	here.Close()
	n, err := io.Copy(io.Discard, there)
	if err != nil || n != int64(total) {
		t.Errorf("%d of %d have arrived: %v", n, total, err)
	}
}

// Whatever happens while Run runs has it called again, and never twice at once.
func TestSocket_run_is_called_again_and_never_twice_at_once(t *testing.T) {
	x := New(2)
	defer x.Close()
	here, _ := pair(t)
	var running, runs, asked atomic.Int64
	var seen int64 // of asked, by Run alone
	settled := make(chan struct{}, 1)
	s := parked(t, x, here, func(*Worker, Happened) bool {
		if running.Add(1) != 1 {
			t.Error("twice at once")
		}
		defer running.Add(-1)
		runs.Add(1)
		if seen = asked.Load(); seen == 4000 {
			select {
			case settled <- struct{}{}:
			default:
			}
		}
		return true
	})
	var ringers sync.WaitGroup
	for range 4 {
		ringers.Go(func() {
			for range 1000 {
				asked.Add(1)
				s.Ring()
			}
		})
	}
	ringers.Wait()
	<-settled
	if n := runs.Load(); n > 4000 {
		t.Errorf("it ran %d times", n)
	}
}

func TestSocket_whoever_goes_on_elsewhere_is_left_alone_until_done(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	_, other := pair(t)
	calls := make(chan Happened, 10)
	first := true
	s := parked(t, x, here, func(_ *Worker, what Happened) bool {
		calls <- what
		defer func() { first = false }()
		return !first
	})
	s.Ring()
	equal(t, "rung", <-calls, Rung)
	s.Ring()
	write(t, there, "x")
	passed := make(chan struct{}, 1)
	o := parked(t, x, other, func(*Worker, Happened) bool {
		select {
		case passed <- struct{}{}:
		default:
		}
		return true
	})
	o.Ring() // the list has been run beyond the first
	<-passed
	equal(t, "calls", len(calls), 0)
	s.Done()
	if what := <-calls; what&Rung == 0 {
		t.Error("it forgot that it was rung", what)
	}
}

// A place in the table that was given to another is not found by the events of the one before.
func TestTable_a_late_event_finds_nobody(t *testing.T) {
	var x table
	old, young := new(Socket), new(Socket)
	first := x.enter(old)
	events := make([]event, 1)[:1]
	events[0].Fd, events[0].Pad = int32(uint32(first)), int32(uint32(first>>32))
	equal(t, "found", x.find(nil, events)[0].socket, old)
	x.leave(first)
	equal(t, "found", len(x.find(nil, events)), 0)
	second := x.enter(young)
	equal(t, "the same place", uint32(second), uint32(first))
	equal(t, "found by the old ticket", len(x.find(nil, events)), 0)
	x.leave(first) // again, which must not put the young one out
	events[0].Fd, events[0].Pad = int32(uint32(second)), int32(uint32(second>>32))
	equal(t, "found", x.find(nil, events)[0].socket, young)
}

// A connection that is closed while it is parked gives its descriptor to the next, which is told what is its own.
func TestSocket_descriptors_are_used_again(t *testing.T) {
	x := lot(t)
	for range 50 {
		here, there := pair(t)
		s, _ := parkReader(t, x, here)
		here.Close()
		next, other := pair(t)
		n, read := parkReader(t, x, next)
		there.Close()
		s.Leave() // late, as it would be
		write(t, other, "mine")
		equal(t, "read", <-read, "mine")
		n.Leave()
		next.Close()
	}
}

// Anybody may close the connection at any time: then calls fail, and nothing else happens.
func TestSocket_close_races_with_everything(t *testing.T) {
	x := New(2)
	defer x.Close()
	for range 200 {
		here, there := pair(t)
		left := make(chan struct{})
		s := new(Socket)
		over := false
		run := owner(func(w *Worker, _ Happened) bool {
			if over {
				return true
			}
			_, err := w.Write(s, []byte("x"))
			if _, failed := w.Peek(s); err == nil {
				err = failed
			}
			if err != nil {
				over = true
				s.Leave()
				close(left)
			}
			return true
		})
		if err := s.Park(x, here, run); err != nil {
			t.Fatal(err)
		}
		s.Done()
		var all sync.WaitGroup
		all.Go(func() {
			for range 10 {
				s.Ring()
			}
		})
		all.Go(func() { _, _ = there.Write([]byte("y")) })
		all.Go(func() { here.Close(); s.Ring() })
		all.Wait()
		<-left
		there.Close()
	}
}

// An owner that blocks takes its worker with it; its loop gets another.
func TestLoop_an_owner_that_blocks_does_not_hold_up_the_others(t *testing.T) {
	x := lot(t)
	free := make(chan struct{})
	for range 3 {
		here, _ := pair(t)
		parked(t, x, here, func(*Worker, Happened) bool { <-free; return true }).Ring()
	}
	here, there := pair(t)
	_, read := parkReader(t, x, here)
	write(t, there, "after all")
	equal(t, "read", <-read, "after all")
	close(free)
	write(t, there, "and on")
	equal(t, "read", <-read, "and on")
}

// One that says that it may wait holds up nobody, however many they are, and leaves one worker, who waits for the next.
func TestLoop_an_owner_that_is_away_holds_up_nobody(t *testing.T) {
	x := lot(t)
	const owners = 3 * spares
	free, waiting, back := make(chan struct{}), make(chan struct{}), make(chan struct{})
	away := owner(func(w *Worker, _ Happened) bool {
		w.Away()
		waiting <- struct{}{}
		<-free
		w.Back()
		back <- struct{}{}
		return true
	})
	for i := range owners {
		here, _ := pair(t)
		s := parked(t, x, here, away)
		if i == 0 { // nobody looks after those who block
			l := x.list[0]
			l.mu.Lock()
			l.watching = true
			l.mu.Unlock()
		}
		s.Ring()
		<-waiting
	}
	here, there := pair(t)
	_, read := parkReader(t, x, here)
	write(t, there, "meanwhile")
	equal(t, "read", <-read, "meanwhile")
	l := x.list[0]
	l.mu.Lock()
	l.watching = false // from now on somebody does: who comes back
	l.mu.Unlock()
	close(free)
	for range owners {
		<-back
	}
	for workers := owners; workers > 1; { // those that are too many are about to end
		runtime.Gosched()
		l.mu.Lock()
		workers = l.workers
		l.mu.Unlock()
	}
	write(t, there, "and on")
	equal(t, "read", <-read, "and on")
}

// Who says so twice is one who is away: one more would be missed when the others are counted, who are to run the list.
func TestLoop_an_owner_that_is_away_twice_is_one(t *testing.T) {
	x := lot(t)
	here, _ := pair(t)
	free, waiting := make(chan struct{}), make(chan int)
	l := func() *loop { return x.list[0] }
	s := parked(t, x, here, func(w *Worker, _ Happened) bool {
		w.Away()
		w.Away()
		waiting <- l().awayNow()
		<-free
		w.Back()
		waiting <- l().awayNow()
		w.Back()
		waiting <- l().awayNow()
		return true
	})
	l().mu.Lock()
	l().watching = true // nobody looks after those who block
	l().mu.Unlock()
	s.Ring()
	equal(t, "away", <-waiting, 1)
	other, there := pair(t)
	_, read := parkReader(t, x, other)
	write(t, there, "meanwhile")
	equal(t, "read", <-read, "meanwhile")
	close(free)
	equal(t, "away when back once", <-waiting, 1)
	equal(t, "away when back twice", <-waiting, 0)
}

func (l *loop) awayNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.away
}

func TestLot_parks_plain_sockets_only(t *testing.T) {
	x := lot(t)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	here, there := pair(t)
	for _, nc := range []net.Conn{a, struct{ *net.TCPConn }{here}} {
		if err := new(Socket).Park(x, nc, nil); !errors.Is(err, ErrNotPlain) {
			t.Errorf("%T: %v", nc, err)
		}
	}
	there.Close()
	here.Close()
	if err := new(Socket).Park(x, here, nil); err == nil {
		t.Error("a closed socket was parked")
	}
}

func TestLot_close_runs_what_is_left_and_leaves_nothing(t *testing.T) {
	x := New(2)
	here, _ := pair(t)
	var runs atomic.Int64
	ran := make(chan struct{}, 10)
	s := parked(t, x, here, func(*Worker, Happened) bool { runs.Add(1); ran <- struct{}{}; return true })
	s.Ring()
	x.Close()
	x.Close()
	equal(t, "runs", runs.Load(), 1)
	<-ran
	s.Ring()
	<-ran
	s.Leave()
	if err := new(Socket).Park(x, here, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestLot_without_sockets_runs_nothing(t *testing.T) {
	New(0).Close()
}

func TestPoller_close_ends_wait(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		p.wait(func([]event) { t.Error("there was an event") })
		close(ended)
	}()
	p.close()
	<-ended
}
