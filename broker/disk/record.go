package disk

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"waft/broker"
)

// head is all that is known of a channel besides its messages. It is written with every message.
type head struct {
	birth   uint64 // the channel's epoch, before the database's salt
	last    uint64 // newest offset given out
	lost    uint64 // newest offset that fell out of the history by a limit; what Remove takes is not lost
	swept   uint64 // up to here what is lost is off the disk too
	count   uint64 // messages behind lost
	bytes   int64  // of the messages behind swept
	age     time.Duration
	touched int64 // when the last message was stored, in nanoseconds of Unix

	// In memory alone, and counted when a limit in bytes asks for it: whoever has none need not read what he drops.
	weighed bool
	weight  int64 // bytes of the messages behind lost
}

// holes is how many messages behind lost were removed.
func (h *head) holes() uint64 { return h.last - h.lost - h.count }

func (h *head) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 64), h.birth)
	for _, v := range []uint64{h.last, h.lost, h.swept, h.count, uint64(h.bytes), uint64(h.age), uint64(h.touched)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

var errRecord = errors.New("a record of the database cannot be read")

func decodeHead(b []byte) (h head, err error) {
	r := reader{b: b}
	h.birth = r.fixed()
	h.last, h.lost, h.swept, h.count = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	h.bytes, h.age, h.touched = int64(r.uvarint()), time.Duration(r.uvarint()), int64(r.uvarint())
	return h, r.end()
}

// stored is what is needed of a message to let it go.
type stored struct {
	previous uint64 // offset of an older message with the same id; 0: none
	size     int64
	id       string
	time     int64 // nanoseconds of Unix
}

// encodeMessage writes all but the previous offset, which stands in front and is not known before the commit.
func encodeMessage(m *broker.Message) []byte {
	b := make([]byte, 0, m.Size())
	b = binary.AppendUvarint(b, uint64(m.Size()))
	b = appendText(b, m.ID)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Time.UnixNano()))
	b = appendText(b, m.Publisher)
	if m.Data == nil {
		b = append(b, 0)
	} else {
		b = appendText(append(b, 1), string(m.Data))
	}
	b = binary.AppendUvarint(b, uint64(len(m.Formats)))
	for name, f := range m.Formats {
		b = appendText(appendText(b, name), string(f))
	}
	return b
}

// decodeStored reads the beginning of a message.
func decodeStored(b []byte) (s stored, err error) {
	r := reader{b: b}
	s = r.stored()
	return s, r.err()
}

func decodeMessage(b []byte, c broker.Channel, at broker.Position) (*broker.Message, error) {
	r := reader{b: b}
	s := r.stored()
	m := &broker.Message{ID: s.id, Channel: c, Time: time.Unix(0, s.time), Position: at}
	m.Publisher = r.text()
	if r.byte() != 0 {
		m.Data = json.RawMessage(slices.Clone(r.bytes()))
	}
	if n := r.uvarint(); n > 0 && n <= uint64(len(r.b)) {
		m.Formats = make(map[string]json.RawMessage, n)
		for range n {
			name := r.text()
			m.Formats[name] = slices.Clone(r.bytes())
		}
	}
	return m, r.end()
}

// receipt of an idempotency key.
type receipt struct {
	used   int64 // on the database's clock
	offset uint64
	birth  uint64
	id     string
}

func (r receipt) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 48+len(r.id)), uint64(r.used))
	b = binary.BigEndian.AppendUint64(b, r.birth)
	b = binary.AppendUvarint(b, r.offset)
	return appendText(b, r.id)
}

func decodeReceipt(b []byte) (rec receipt, err error) {
	r := reader{b: b}
	rec.used, rec.birth, rec.offset = int64(r.fixed()), r.fixed(), r.uvarint()
	rec.id = r.text()
	return rec, r.end()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader takes a record apart. After the first fault everything is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }
func (r *reader) text() string  { return string(r.bytes()) }

func (r *reader) stored() (s stored) {
	s.previous, s.size = r.uvarint(), int64(r.uvarint())
	s.id, s.time = r.text(), int64(r.fixed())
	return s
}

func (r *reader) err() error {
	if r.bad {
		return errRecord
	}
	return nil
}

// end is err, and one for what is left over.
func (r *reader) end() error {
	if len(r.b) > 0 {
		return errRecord
	}
	return r.err()
}
