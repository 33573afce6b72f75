package component

import "io"

// framer cuts the inbound bytes into the stream header, top-level elements and the closing tag. It follows tags, quotes,
// CDATA, comments and processing instructions and nothing else: no names are matched, no entities read, no character
// checked. So no content of a stanza can confuse it, and what it keeps is bounded whatever arrives. Whether a frame
// is good XML is for the parser to say, later and about that frame alone.
//
// An element that breaks a limit is followed to its end without being kept, and handed over as its head.
//
// Owned by the read goroutine.
type framer struct {
	r   io.Reader
	lim limits

	in       []byte // what the last Read brought
	pos, end int    // in[pos:end] is still to be lexed
	mark     int    // in[mark:pos] belongs to the element but is not in buf yet

	state  state
	quote  byte // closes the attribute value; or the byte that ends a comment, PI or CDATA section before '>'
	need   int  // how many of quote must stand before '>'
	run    int  // how many of quote were just seen; or how much of an opener has been matched
	opener string

	header   bool // the stream header has passed
	depth    int  // open elements of this top-level element; 0 in its start tag and between stanzas
	elements int
	attrs    int // of the current tag
	attrSize int // bytes of the current attribute's name and value
	size     int // bytes of this top-level element that were marked off

	buf  []byte // the element so far; empty once refused
	why  Reason
	head head
}

// limits is the part of Options that bounds one inbound element.
type limits struct {
	stanza, depth, elements, attrs, attr int
}

// frame is what the framer found. Its bytes are valid until the next call of next.
type frame struct {
	kind frameKind
	raw  []byte // the whole element, or the header's start tag; nil when refused
	head []byte // the element's start tag as an empty element, with addressing attributes only; nil if unknown
	why  Reason // NotRefused, or the limit that was broken
}

type frameKind uint8

const (
	frameHeader  frameKind = iota // <stream:stream …>, always the first
	frameElement                  // a top-level element
	frameEnd                      // </stream:stream>
)

const (
	readSize   = 32 << 10
	retainSize = 64 << 10 // a buffer that grew above this is given back after the stanza
)

func newFramer(r io.Reader, lim limits) *framer {
	return &framer{r: r, lim: lim, in: make([]byte, readSize)}
}

// next returns the next frame, an error of the reader as it is, or ErrFraming.
func (f *framer) next() (frame, error) {
	f.reset()
	for {
		if f.pos == f.end {
			f.flush()
			n, err := f.r.Read(f.in)
			if n == 0 && err != nil {
				return frame{}, err
			}
			f.pos, f.end, f.mark = 0, n, 0
		}
		for f.pos < f.end {
			kind, done, err := f.step()
			if err != nil || done {
				f.flush()
				return f.frame(kind), err
			}
		}
	}
}

func (f *framer) reset() {
	f.state, f.mark, f.depth, f.elements, f.size, f.why = inText, f.pos, 0, 0, 0, NotRefused
	if f.buf = f.buf[:0]; cap(f.buf) > retainSize {
		f.buf = nil
	}
	f.head.reset()
}

func (f *framer) frame(kind frameKind) frame {
	fr := frame{kind: kind, head: f.head.bytes(), why: f.why}
	if f.why == NotRefused {
		fr.raw = f.buf
	}
	return fr
}

// flush moves the bytes lexed since the mark into buf, unless they would break the limit.
func (f *framer) flush() {
	p := f.in[f.mark:f.pos]
	f.mark = f.pos
	f.size += len(p)
	if f.size > f.lim.stanza {
		f.drop(StanzaTooBig)
	}
	if f.why == NotRefused {
		f.buf = append(f.buf, p...)
	}
}

func (f *framer) drop(r Reason) {
	if f.why == NotRefused {
		f.why, f.buf = r, f.buf[:0]
	}
}

// refuse stops keeping the element. Flushing first makes the reason independent of how the bytes were chunked.
func (f *framer) refuse(r Reason) {
	f.flush()
	f.drop(r)
}
