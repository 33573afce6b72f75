//go:build linux

package park

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// descriptors are those that this process has open.
func descriptors(t testing.TB) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("not counted: ", err)
	}
	return len(all) - 1 // one was for the reading
}

// noDescriptors takes all that there are, until it is told to give them back.
func noDescriptors(t testing.TB) (again func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(all) == 0 {
		t.Skip("not known what is open: ", err)
	}
	highest := 0
	for _, name := range all {
		fd, _ := strconv.Atoi(filepath.Base(name))
		highest = max(highest, fd)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(highest) + 8, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	var taken []*os.File
	again = sync.OnceFunc(func() {
		for _, f := range taken {
			f.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(again)
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return again
		}
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, f)
	}
}

// ownReader is a socket whose owner reads, until it is to close.
type ownReader struct {
	Socket
	read   <-chan string
	end    chan struct{}
	closed chan struct{}
}

func takeReader(t testing.TB, x *Lot, nc net.Conn) *ownReader {
	t.Helper()
	read := make(chan string, 100)
	o := &ownReader{read: read, end: make(chan struct{}), closed: make(chan struct{})}
	s := &o.Socket
	reads, over := reader(&s, read), false
	err := s.Take(x, nc, owner(func(w *Worker, what Happened) bool {
		select {
		case <-o.end:
			if !over {
				s.Close()
				close(o.closed)
			}
			over = true
			return true
		default:
			return reads(w, what)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	s.Done()
	return o
}

// close has the owner close the socket.
func (o *ownReader) close() {
	close(o.end)
	o.Ring()
	<-o.closed
}

func TestTake_the_descriptor_is_the_sockets_own(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	takeReader(t, x, there) // the loop is there
	before := descriptors(t)
	s := takeReader(t, x, here)
	equal(t, "owns", s.Owns(), true)
	equal(t, "descriptors", descriptors(t), before)
	if _, err := here.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error("the net.Conn is still open: ", err)
	}
	s.close()
	equal(t, "descriptors after Close", descriptors(t), before-1)
	if n, err := (&Worker{}).Write(&s.Socket, []byte("x")); n != 0 || err == nil {
		t.Error("something has been written to a socket that is closed")
	}
	s.Ring()
	select {
	case text := <-s.read:
		t.Errorf("read %q", text)
	default:
	}
}

func TestTake_is_told_what_comes_writes_and_ends(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	write(t, there, "early")
	s := takeReader(t, x, here)
	equal(t, "read", <-s.read, "early")
	write(t, there, "one")
	equal(t, "read", <-s.read, "one")
	if n, err := (&Worker{}).Write(&s.Socket, []byte("two")); n != 3 || err != nil {
		t.Error(n, err)
	}
	b := make([]byte, 3)
	if _, err := io.ReadFull(there, b); err != nil || string(b) != "two" {
		t.Errorf("%q %v", b, err)
	}
	_ = there.CloseWrite()
	equal(t, "end", <-s.read, "")
	s.close()
	if _, err := there.Read(b); err != io.EOF {
		t.Error("it has not been closed: ", err)
	}
}

func TestTake_tells_of_room_once_there_was_none(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	rest := bytes.Repeat([]byte("x"), 8<<20)
	total, full, over := len(rest), make(chan struct{}, 1), make(chan struct{})
	room := 0
	s := new(Socket)
	run := owner(func(w *Worker, what Happened) bool {
		if rest == nil {
			return true
		}
		if what&Writable != 0 {
			room++
		}
		for len(rest) > 0 {
			n, err := w.Write(s, rest)
			if err != nil {
				t.Error(err)
				return true
			}
			if rest = rest[n:]; n == 0 {
				break
			}
		}
		if len(rest) > 0 {
			select {
			case full <- struct{}{}:
			default:
			}
			return true
		}
		rest = nil
		s.Close()
		close(over)
		return true
	})
	if err := s.Take(x, here, run); err != nil {
		t.Fatal(err)
	}
	s.Done()
	<-full
	n, err := io.Copy(io.Discard, there)
	if err != nil || n != int64(total) {
		t.Errorf("%d of %d have arrived: %v", n, total, err)
	}
	if <-over; room < 2 {
		t.Errorf("it was told of room %d times", room)
	}
}

// What has come stays there for who has it next, and so do addresses and deadlines.
func TestTake_is_a_connection_again(t *testing.T) {
	for name, none := range map[string]bool{"with descriptors": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			x := lot(t)
			here, there := pair(t)
			local, remote := here.LocalAddr(), here.RemoteAddr()
			told := make(chan struct{}, 100)
			s := new(Socket)
			if err := s.Take(x, here, owner(func(_ *Worker, what Happened) bool {
				if what&Readable != 0 {
					told <- struct{}{}
				}
				return true
			})); err != nil {
				t.Fatal(err)
			}
			s.Done()
			write(t, there, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			<-told
			before := descriptors(t)
			again := func() {}
			if none {
				again = noDescriptors(t)
			}
			nc := s.Conn(local, remote)
			again()
			equal(t, "descriptors", descriptors(t), before)
			if _, plain := nc.(*net.TCPConn); plain == none {
				t.Errorf("it is a %T", nc)
			}
			equal(t, "local address", nc.LocalAddr().String(), local.String())
			equal(t, "remote address", nc.RemoteAddr().String(), remote.String())
			if _, err := nc.Write(nil); err != nil {
				t.Error(err)
			}

			// net/http reads ahead while it answers, and breaks that off with a deadline: two requests show that.
			one := make(chan net.Conn, 1)
			one <- nc
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.RemoteAddr)
			})}
			var serving sync.WaitGroup
			serving.Go(func() { _ = server.Serve(&listener{conns: one, closed: make(chan struct{})}) })
			defer serving.Wait()
			defer server.Close()
			r := bufio.NewReader(there)
			for n := range 3 {
				answer, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				equal(t, "answer", string(body), there.LocalAddr().String())
				if n < 2 {
					write(t, there, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				}
			}
			equal(t, "deadline", nc.SetDeadline(time.Now()), nil)
			x.Close() // what is under way has been told
			equal(t, "told of what came afterwards", len(told), 0)
		})
	}
}

// Then nothing is as it would be with one, but for the memory.
func TestTake_without_a_descriptor_to_be_had(t *testing.T) {
	x := lot(t)
	first, other := pair(t)
	takeReader(t, x, first) // the loop is there
	here, there := pair(t)
	again := noDescriptors(t)
	s := takeReader(t, x, here)
	equal(t, "owns", s.Owns(), false)
	again()
	write(t, there, "hello")
	equal(t, "read", <-s.read, "hello")
	s.Cut()
	equal(t, "end", <-s.read, "")
	s.close()
	if err := here.Close(); err != nil {
		t.Error("the connection was not left to its owner: ", err)
	}
	other.Close()
}

func TestTake_no_TCP_socket(t *testing.T) {
	x := lot(t)
	here, there := net.Pipe()
	if err := new(Socket).Take(x, here, nil); !errors.Is(err, ErrNotPlain) {
		t.Error(err)
	}
	here.Close()
	there.Close()
	x.Close()
	tcp, _ := pair(t)
	before := descriptors(t)
	if err := new(Socket).Take(x, tcp, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	equal(t, "descriptors", descriptors(t), before)
	equal(t, "its end", tcp.Close(), nil)
}

// Whoever is cut off finds out, whether it waits or is in the middle of something.
func TestCut_is_found_out(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	s := takeReader(t, x, here)
	s.Cut()
	equal(t, "end", <-s.read, "")
	if _, err := there.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	if _, err := (&Worker{}).Write(&s.Socket, []byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	s.close()
	s.Cut()
}

// A descriptor that has been closed is soon another connection's, which nobody must cut off instead.
func TestCut_meets_nobody_else(t *testing.T) {
	x := lot(t)
	const rounds = 60
	bystander, far := pair(t)
	heard := takeReader(t, x, bystander).read
	before := descriptors(t)
	for range rounds {
		here, there := pair(t)
		s := new(Socket)
		if err := s.Take(x, here, owner(func(*Worker, Happened) bool { return true })); err != nil {
			t.Fatal(err)
		}
		begin := make(chan struct{})
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { <-begin; s.Cut(); s.Ring(); s.Cut() })
		}
		all.Go(func() { <-begin; s.Close() })
		var nc, peer *net.TCPConn
		all.Go(func() { <-begin; nc, peer = pair(t) }) // has the descriptor now, sometimes
		close(begin)
		all.Wait()
		if _, err := nc.Write([]byte("x")); err != nil {
			t.Fatal("another connection has been cut off: ", err)
		}
		if _, err := peer.Read(make([]byte, 1)); err != nil {
			t.Fatal("another connection has been cut off: ", err)
		}
		for _, c := range []*net.TCPConn{nc, peer, there} { // no port is to wait for what comes late
			_ = c.SetLinger(0)
			c.Close()
		}
	}
	equal(t, "descriptors", descriptors(t), before)
	write(t, far, "still there")
	equal(t, "read", <-heard, "still there")
}

// listener has the connections that it is given.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	close(l.closed)
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }
