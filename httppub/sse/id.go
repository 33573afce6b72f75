package sse

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"

	"waft/broker"
)

// An event's id is the place of the whole stream: of every channel, not only of the event's own. A client that comes back
// with it, by Last-Event-ID, misses nothing and gets nothing twice. It is made of
//
//	version and flags    1 byte
//	stamp                4 bytes, if flagged: what the server had forgotten by then
//	named places         how many (varint), and each with 6 bytes of the channel's hash, the position's epoch (8 bytes) and offset (varint)
//	base                 varint, if flagged: Unix milliseconds
//	wildcards' places    each with the length of the channel's name (varint), its name, and the position likewise
//	check                4 bytes, of all before
//
// in the URL alphabet of base 64. A channel that was asked for by its name needs no more than a hash: the address of the stream
// has the name. Of the channels of wildcards those that are not there are where the base says: the client has had what was
// published before it, and nothing since.

// maxID is how long an id may get. Node.js takes 16 KiB of headers, nginx 8 KiB in a line, and a query has it escaped.
const maxID = 4096

const (
	idVersion = 1 << 4
	idStamped = 1 << 0
	idBased   = 1 << 1
	idBroken  = 1 << 2 // the wildcards' places did not fit
)

// token is an id taken apart.
type token struct {
	stamped bool
	stamp   uint32
	based   bool
	base    int64
	broken  bool
	named   map[uint64]broker.Position         // of channels asked for by name, by their hash; zero: nothing was ever published
	wild    map[broker.Channel]broker.Position // of wildcards' channels
}

// hashOf has 48 bits of a channel's name. Two channels of one stream that share it would be told apart by their epochs.
func hashOf(c broker.Channel) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c)) // a hash takes everything
	sum := h.Sum64()
	return (sum ^ sum>>48) & (1<<48 - 1)
}

var idText = base64.RawURLEncoding.Strict()

func appendStamp(dst []byte, stamp uint32) []byte { return binary.BigEndian.AppendUint32(dst, stamp) }

func appendBase(dst []byte, base int64) []byte { return binary.AppendUvarint(dst, uint64(base)) }

func appendNamed(dst []byte, hash uint64, p broker.Position) []byte {
	dst = append(dst, byte(hash>>40), byte(hash>>32), byte(hash>>24), byte(hash>>16), byte(hash>>8), byte(hash))
	return appendPosition(dst, p)
}

func appendWild(dst []byte, c broker.Channel, p broker.Position) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c)))
	return appendPosition(append(dst, c...), p)
}

func appendPosition(dst []byte, p broker.Position) []byte {
	return binary.AppendUvarint(binary.BigEndian.AppendUint64(dst, p.Epoch), p.Offset)
}

// sealID appends the check to raw, and the whole as text to dst. raw must be of its own: it is appended to.
func sealID(dst, raw []byte) (id, scratch []byte) {
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	return idText.AppendEncode(dst, raw), raw
}

// idLength is the text's length for n bytes before the check.
func idLength(n int) int { return idText.EncodedLen(n + 4) }

// parseID reads an id. The error is of kind Invalid.
func parseID(s string) (*token, error) {
	bad := broker.Errorf(broker.Invalid, "the last event id %s is not one that this server gave out; leave it away to begin with what comes next", broker.Quote(s))
	if len(s) > maxID {
		return nil, bad
	}
	raw, err := idText.DecodeString(s)
	if err != nil || len(raw) < 5 {
		return nil, bad
	}
	r := idReader{rest: raw[:len(raw)-4]}
	if crc32.ChecksumIEEE(r.rest) != binary.BigEndian.Uint32(raw[len(raw)-4:]) {
		return nil, bad
	}
	flags := r.bytes(1)[0]
	t := &token{
		stamped: flags&idStamped != 0, based: flags&idBased != 0, broken: flags&idBroken != 0,
		named: map[uint64]broker.Position{}, wild: map[broker.Channel]broker.Position{},
	}
	if flags&^(idStamped|idBased|idBroken) != idVersion {
		return nil, bad
	}
	if t.stamped {
		t.stamp = binary.BigEndian.Uint32(r.bytes(4))
	}
	good := r.named(t)
	if t.based {
		t.base = int64(r.varint() & (1<<62 - 1))
	}
	good = good && r.wild(t)
	if !good || r.bad {
		return nil, bad
	}
	return t, nil
}

// named reads the places of channels asked for by name; false if one is there twice.
func (r *idReader) named(t *token) bool {
	for n := r.varint(); n > 0 && !r.bad; n-- {
		b := r.bytes(6)
		hash := binary.BigEndian.Uint64([]byte{0, 0, b[0], b[1], b[2], b[3], b[4], b[5]})
		if _, twice := t.named[hash]; twice {
			return false
		}
		t.named[hash] = r.position()
	}
	return true
}

// wild reads the places of wildcards' channels; false if one is no channel, or there twice.
func (r *idReader) wild(t *token) bool {
	for len(r.rest) > 0 {
		n := r.varint()
		if n > broker.MaxChannelBytes || !t.based {
			return false
		}
		c, err := broker.ParseChannel(string(r.bytes(int(n))))
		if _, twice := t.wild[c]; twice || err != nil {
			return false
		}
		if t.wild[c] = r.position(); t.wild[c].IsZero() {
			return false
		}
	}
	return true
}

// idReader takes bytes off. Once there are too few, it gives zeros and is bad.
type idReader struct {
	rest []byte
	bad  bool
}

func (r *idReader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.bad = nil, true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *idReader) varint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *idReader) position() broker.Position {
	return broker.Position{Epoch: binary.BigEndian.Uint64(r.bytes(8)), Offset: r.varint()}
}
