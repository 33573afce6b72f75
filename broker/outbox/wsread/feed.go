package wsread

import (
	"bufio"
	"io"
	"net"
	"sync"
)

// feed is what gorilla reads, through a buffered reader that it was given with the connection and keeps. The buffer itself is lent.
type feed struct {
	buffered bufio.Reader // gorilla has its address
	ahead    []byte       // comes first
	nc       net.Conn     // then this; nil: nothing does
}

// Read implements io.Reader.
func (f *feed) Read(b []byte) (int, error) {
	switch {
	case len(f.ahead) > 0:
		n := copy(b, f.ahead)
		f.ahead = f.ahead[n:]
		return n, nil
	case f.nc == nil:
		return 0, io.ErrUnexpectedEOF // it was given a whole message
	default:
		return f.nc.Read(b)
	}
}

// bufferSize is more than the 125 bytes of a control frame, which gorilla wants in one piece.
const bufferSize = 512

var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

// lend has gorilla read b next, and nothing else.
func (f *feed) lend(b []byte) (lent *bufio.Reader) {
	lent = buffers.Get().(*bufio.Reader)
	lent.Reset(f)
	f.buffered, f.ahead = *lent, b
	return lent
}

// takeBack takes the buffer back, and tells how much of what it was lent with has not been read.
func (f *feed) takeBack(lent *bufio.Reader) (left int) {
	left = f.buffered.Buffered() + len(f.ahead)
	f.buffered, f.ahead = bufio.Reader{}, nil
	buffers.Put(lent)
	return left
}

// connect has gorilla read ahead next, and then nc, from now on.
func (f *feed) connect(ahead []byte, nc net.Conn) {
	f.buffered, f.ahead, f.nc = *bufio.NewReaderSize(f, bufferSize), ahead, nc
}
