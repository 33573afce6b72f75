package park

import "syscall"

// Worker is what a worker lends the sockets it runs.
type Worker struct {
	Buf []byte // for what is read

	loop *loop // nil: it is none's
	away int   // Away minus Back

	// of the system call under way
	out   []byte
	in    []byte
	flags int
	n     int
	errno syscall.Errno

	write, read func(uintptr) bool // made once: a function made for every call is an allocation
}

// bufferSize is how much is read at once.
const bufferSize = 4 << 10

// Away is called by an owner that may have to wait for something in Run, such as a disk: until Back, others run what is on the list. The worker
// stays its own. Called again before that, it is one who is away all the same, until Back was called as often.
func (w *Worker) Away() {
	w.away++
	if l := w.loop; l != nil && w.away == 1 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.away++
		if l.head < len(l.list) && l.workers == l.waiting+l.away {
			l.rouse()
		}
	}
}

// Back is called after Away.
func (w *Worker) Back() {
	w.away--
	if l := w.loop; l != nil && w.away == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.away--
		l.lookLater() // there may be more workers than are needed now
	}
}

func newWorker() *Worker {
	w := &Worker{Buf: make([]byte, bufferSize)}
	w.write, w.read = w.writes, w.reads
	return w
}

// Write writes what s takes of b at once, which may be less than all, or nothing: that is no error.
func (w *Worker) Write(s *Socket, b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	w.out = b
	if s.raw == nil {
		w.writes(uintptr(s.fd))
	} else {
		err = s.raw.Write(w.write)
	}
	w.out = nil
	return w.result(err)
}

// Read reads into w.Buf what is there; n is -1 if that is nothing, and 0 if the peer will send no more.
func (w *Worker) Read(s *Socket) (n int, err error) {
	w.in, w.flags = w.Buf, 0
	return w.receive(s)
}

// Peek is Read of one byte, which stays where it is.
func (w *Worker) Peek(s *Socket) (n int, err error) {
	w.in, w.flags = w.Buf[:1], peek
	return w.receive(s)
}

func (w *Worker) receive(s *Socket) (n int, err error) {
	if s.raw == nil {
		w.reads(uintptr(s.fd))
	} else {
		err = s.raw.Read(w.read)
	}
	w.in = nil
	if n, err = w.result(err); err == nil && w.errno == syscall.EAGAIN {
		n = -1
	}
	return n, err
}

func (w *Worker) result(err error) (int, error) {
	switch {
	case err != nil: // it is closed, or was given a deadline
		return 0, err
	case w.errno == syscall.EAGAIN:
		return 0, nil
	case w.errno != 0:
		return 0, w.errno
	}
	return w.n, nil
}
