package bayeux

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"runtime"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsframe"
)

// Events on sockets that negotiated permessage-deflate without context takeover. (RFC 7692 §7)
//
// An event is compressed once, whoever gets it and in whatever company. What makes that possible is that deflate is a row of blocks,
// and that a block which refers to nothing before it may stand anywhere: a packed event is such a row, and brackets and commas
// go between as stored blocks. A frame of several events is put together by copying, as a plain one is.

// rsv1 is the bit of a frame's first byte that says "compressed". (RFC 7692 §6)
const rsv1 = 0x40

// plainForm is a form of events as finished text frames, which a packedForm compresses.
type plainForm interface {
	broker.Encoder
	join(dst []byte, ds []broker.Delivery) []byte
}

// packedForm is the form of plain's events on a socket with compression. Where compressing is not worth it, it is the plain
// frame itself.
type packedForm struct {
	plain plainForm
	from  int // bytes of the smallest event that is compressed
	stats *counters
}

var _ broker.Encoder = (*packedForm)(nil)

// A packed event leaves the header of a stored block open: flushing a deflate stream ends it with an empty one, of which the
// last four bytes, its length, are cut off. (RFC 7692 §7.2.1) What follows is the length of something better.
const (
	storedHeader = 0x00                        // of a stored block that is not the last, on a byte's border
	storedLength = 4                           // bytes of length and its complement
	packedHead   = 1 + storedLength + len("[") // of a frame with one event, before it
	packedTail   = storedLength + len("]") + 1 // and after it
	noTail       = "\x00\x00\xff\xff"          // what is cut off
)

// EncodeMessage implements broker.Encoder.
func (f *packedForm) EncodeMessage(m *broker.Message) ([]byte, error) {
	frame, err := m.Encoded(f.plain)
	if err != nil {
		return nil, err
	}
	text := event(frame)
	if len(text) < f.from {
		return frame, nil
	}
	p := takePacker()
	defer p.giveBack()
	packed := p.pack(text)
	f.stats.packed.Add(1)
	f.stats.packedInput.Add(uint64(len(text)))
	n := packedHead + len(packed) + packedTail
	if n >= len("[]")+len(text) {
		f.stats.packedOutput.Add(uint64(len(text)))
		return frame, nil
	}
	f.stats.packedOutput.Add(uint64(len(packed)))
	b := wsframe.AppendHeader(make([]byte, 0, wsframe.MaxHeader+n), wsframe.Text|rsv1, n)
	b = appendStored(append(b, storedHeader), "[")
	b = appendStored(append(b, packed...), "]")
	return append(b, storedHeader), nil
}

// appendStored appends the rest of a stored block whose header is open.
func appendStored[T string | []byte](b []byte, text T) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(text)))
	return append(b, text...)
}

func isPacked(frame []byte) bool { return frame[0]&rsv1 != 0 }

// packedEvent cuts the compressed event out of its frame.
func packedEvent(frame []byte) []byte {
	return frame[wsframe.HeaderLen(frame)+packedHead : len(frame)-packedTail]
}

// frames gives the bytes for ds on a socket: the shared frame of a single one, or few frames that join several.
func (f *packedForm) frames(sc *outbox.Scratch, ds []broker.Delivery) []byte {
	if len(ds) == 1 {
		frame, err := ds[0].Message.Encoded(f)
		if err != nil {
			return nil
		}
		return frame
	}
	return sc.Join(f, ds, f.join)
}

// join appends frames with the events of ds: the same events in each as the plain form has.
func (f *packedForm) join(dst []byte, ds []broker.Delivery) []byte {
	for len(ds) > 0 {
		n, events, size, packed := 0, 0, len("["), false
		var last []byte // frame of an event of its own
		for _, d := range ds {
			if plain, err := d.Message.Encoded(f.plain); err == nil {
				if events > 0 && size+len(plain) > maxJoined {
					break
				}
				size += len(event(plain)) + len(",")
				events++
				last, _ = d.Message.Encoded(f) // whatever has a plain form has this
				packed = packed || isPacked(last)
			}
			n++
		}
		switch {
		case events == 1:
			dst = append(dst, last...)
		case packed:
			dst = f.joinPacked(dst, ds[:n])
		default:
			dst = f.plain.join(dst, ds[:n])
		}
		ds = ds[n:]
	}
	return dst
}

// joinPacked appends one frame with the events of ds, two or more, some of which are packed. It is shorter than the plain one, so
// maxJoined keeps it within a header of four bytes, and each text in it within a stored block.
func (f *packedForm) joinPacked(dst []byte, ds []broker.Delivery) []byte {
	const header = 4
	start := len(dst)
	dst = append(dst, 0x80|wsframe.Text|rsv1, 126, 0, 0, storedHeader)
	// The text since the last packed event is what a stored block is made of, when the next one comes.
	dst, text := openStored(dst)
	separator := byte('[')
	for _, d := range ds {
		frame, err := d.Message.Encoded(f)
		if err != nil {
			continue
		}
		dst = append(dst, separator)
		separator = ','
		if !isPacked(frame) {
			dst = append(dst, event(frame)...)
			continue
		}
		closeStored(dst, text)
		dst, text = openStored(append(dst, packedEvent(frame)...))
	}
	dst = append(dst, ']')
	closeStored(dst, text)
	dst = append(dst, storedHeader)
	n := len(dst) - start - header
	if n < 126 { // the shortest header is a must (RFC 6455 §5.2)
		dst[start+1] = byte(n)
		return append(dst[:start+2], dst[start+header:]...)
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16(n))
	return dst
}

// openStored leaves room for the length of a stored block, whose text begins at text.
func openStored(b []byte) (_ []byte, text int) {
	return append(b, 0, 0, 0, 0), len(b) + storedLength
}

// closeStored ends the block at the end of b.
func closeStored(b []byte, text int) {
	n := uint16(len(b) - text)
	binary.LittleEndian.PutUint16(b[text-storedLength:], n)
	binary.LittleEndian.PutUint16(b[text-storedLength/2:], ^n)
}

// packer compresses one text at a time. It has some 900 KB, so there is one for each core and not for each socket.
type packer struct {
	w   *flate.Writer
	out bytes.Buffer
}

// packers are those at rest. When all are at work another is made, and thrown away when there is no room for it here.
var packers = make(chan *packer, runtime.GOMAXPROCS(0))

func takePacker() *packer {
	select {
	case p := <-packers:
		return p
	default:
		p := &packer{}
		// The fastest level: the higher ones clear 640 KB before each text, and save a few bytes of a hundred.
		p.w, _ = flate.NewWriter(&p.out, flate.BestSpeed) // fails for an unknown level only
		return p
	}
}

func (p *packer) giveBack() {
	if p.out.Cap() > keepBuffer {
		p.out = bytes.Buffer{}
	}
	select {
	case packers <- p:
	default:
	}
}

// pack gives text as deflate blocks that end with the header of a stored one. They are valid until the next use.
func (p *packer) pack(text []byte) []byte {
	p.out.Reset()
	p.w.Reset(&p.out)
	_, _ = p.w.Write(text) // to memory
	_ = p.w.Flush()
	return bytes.TrimSuffix(p.out.Bytes(), []byte(noTail))
}
