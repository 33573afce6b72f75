package httppub

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines reads a body line by line, of which each has a limit, and none is kept.
type lines struct {
	from *bufio.Reader
	most int    // bytes of a line
	long []byte // a line that is larger than from's buffer
}

// errLongLine says that a line was above the limit. It has been passed over.
var errLongLine = errors.New("the line is too long")

// ready tells whether a whole line has arrived, so that next does not wait.
func (x *lines) ready() bool {
	waiting, _ := x.from.Peek(x.from.Buffered())
	return bytes.IndexByte(waiting, '\n') >= 0
}

// next gives a line without its end, good until the next call. The last one may have no end. io.EOF: there are no more; another error says that
// the body broke off, and what there was of a line is not given.
func (x *lines) next() ([]byte, error) {
	if cap(x.long) > keptBuffer {
		x.long = nil
	}
	x.long = x.long[:0]
	tooLong := false
	for {
		part, err := x.from.ReadSlice('\n')
		ended := err == nil
		if ended {
			part = part[:len(part)-1]
		}
		switch {
		case len(x.long)+len(part) > x.most+1: // a carriage return at the end does not count
			tooLong, x.long = true, x.long[:0]
		case tooLong:
		case ended && len(x.long) == 0:
			return x.cut(part)
		default:
			x.long = append(x.long, part...)
		}
		switch {
		case ended || err == io.EOF && (len(x.long) > 0 || tooLong):
			if tooLong {
				return nil, errLongLine
			}
			return x.cut(x.long)
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return nil, err
		}
	}
}

func (x *lines) cut(line []byte) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > x.most {
		return nil, errLongLine
	}
	return line, nil
}

// limited gives errLongStream where io.LimitedReader says that all is well.
type limited struct {
	from io.Reader
	left int64
}

var errLongStream = errors.New("the body is too long")

func (x *limited) Read(p []byte) (int, error) {
	if x.left <= 0 {
		// Perhaps it ends just here.
		var one [1]byte
		if n, err := x.from.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errLongStream
	}
	if int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.from.Read(p)
	x.left -= int64(n)
	return n, err
}
