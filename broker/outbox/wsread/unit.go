package wsread

import "encoding/binary"

// unit is what comes next: a ping or a pong between messages, or a message with all of its frames, and what stands between them.
type unit struct {
	kind    kind
	size    int     // bytes of it, headers included, if it is whole
	key     [4]byte // of a ping or pong
	payload []byte  // of a ping or pong, masked
}

type kind uint8

const (
	part    kind = iota // of a message, or of a frame's header: it may become anything
	message             // whole
	ping
	pong
	other // not plainly right, too large, a close frame, or not to be kept until it is whole: for gorilla to look at
)

// maxFrames is how many frames of a message are kept until it is whole: with every piece that comes all of them are looked at again.
const maxFrames = 32

// Frames, RFC 6455 §5.2.
const (
	fin       = 0x80
	rsv1      = 0x40
	rsv2and3  = 0x30
	opcodes   = 0x0f
	masked    = 0x80
	continued = 0x0
	text      = 0x1
	binaries  = 0x2
	pingFrame = 0x9
	pongFrame = 0xA

	maxControl = 125
)

// next finds the unit at the head of b. Of a message it looks at headers only. limit is the most payload that a message may have, and packed whether
// the connection has permessage-deflate, which marks messages with a reserved bit (RFC 7692 §6).
func next(b []byte, limit int, packed bool) unit {
	var payload, at int
	unfinished := part
	for frames := 0; ; frames++ {
		first := frames == 0
		if frames == maxFrames {
			unfinished = other
		}
		f, ok := header(b[at:])
		switch {
		case f.wrong(first, packed):
			return unit{kind: other}
		case !ok:
			return unit{kind: unfinished}
		}
		end := at + f.header + f.payload
		if f.control() {
			switch {
			case f.op != pingFrame && f.op != pongFrame:
				return unit{kind: other}
			case len(b) < end:
				return unit{kind: unfinished}
			case first && f.op == pingFrame:
				return unit{kind: ping, size: end, key: f.key, payload: b[f.header:end]}
			case first:
				return unit{kind: pong, size: end, key: f.key, payload: b[f.header:end]}
			}
			at, unfinished = end, other // who sent it may wait for the answer before going on
			continue
		}
		if payload += f.payload; f.payload > limit || payload > limit {
			return unit{kind: other}
		}
		switch {
		case len(b) < end:
			return unit{kind: unfinished}
		case f.fin:
			return unit{kind: message, size: end}
		}
		at = end
	}
}

// frame is the header of one.
type frame struct {
	first, second byte // as far as they have come
	op            byte
	fin           bool
	header        int // bytes of it
	payload       int // bytes; more than any limit if that does not fit
	key           [4]byte
}

func (f *frame) control() bool { return f.op >= 0x8 }

// wrong tells, as soon as it can be told, of a frame that is not plainly right where it stands.
func (f *frame) wrong(first, packed bool) bool {
	switch {
	case f.header == 0: // nothing has come
		return false
	case f.first&rsv2and3 != 0, f.first&rsv1 != 0 && (!packed || !first || f.control()):
		return true
	case f.header == 1:
		return false
	case f.second&masked == 0:
		return true
	case f.control():
		return !f.fin || f.second&^masked > maxControl
	case first:
		return f.op != text && f.op != binaries
	default:
		return f.op != continued
	}
}

// header reads the header at the head of b. If it is not whole, ok is false, and what has come is there.
func header(b []byte) (f frame, ok bool) {
	if f.header = min(len(b), 2); f.header == 0 {
		return f, false
	}
	f.first, f.op, f.fin = b[0], b[0]&opcodes, b[0]&fin != 0
	if len(b) < 2 {
		return f, false
	}
	f.second, f.payload = b[1], int(b[1]&^masked)
	switch more := b[2:]; {
	case f.payload == 126 && len(more) < 2, f.payload == 127 && len(more) < 8:
		return f, false
	case f.payload == 126:
		f.header, f.payload = 4, int(binary.BigEndian.Uint16(more))
	case f.payload == 127:
		f.header, f.payload = 10, int(min(binary.BigEndian.Uint64(more), 1<<30))
	}
	if len(b) < f.header+len(f.key) {
		return f, false
	}
	f.header += copy(f.key[:], b[f.header:])
	return f, true
}

// unmask gives the payload of a ping or pong.
func (u *unit) unmask() string {
	b := make([]byte, len(u.payload))
	for i, c := range u.payload {
		b[i] = c ^ u.key[i%len(u.key)]
	}
	return string(b)
}
