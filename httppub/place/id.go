package place

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"waft/broker"
)

// A place is one of the whole stream: in every channel that was asked for. A client that comes back with it misses nothing and gets
// nothing twice. Its text is made of
//
//	version and flags    1 byte
//	stamp                4 bytes, if flagged: what the server had forgotten by then
//	named places         how many (varint), and each with 6 bytes of the channel's hash, the position's epoch (8 bytes) and offset (varint)
//	base                 varint, if flagged: Unix milliseconds
//	wildcards' places    each with the length of the channel's name (varint), its name, and the position likewise
//	check                4 bytes, of all before
//
// in the URL alphabet of base 64. A channel that was asked for by its name needs no more than a hash: whoever comes back names it
// again. Of the channels of wildcards those that are not there are where the base says: the client has had what was
// published before it, and nothing since.

// maxText is how long a text may get. It can stand in a header or a query: Node.js takes 16 KiB of headers, nginx 8 KiB in a line, and a query has it escaped.
const maxText = 4096

const (
	idVersion = 1 << 4
	idStamped = 1 << 0
	idBased   = 1 << 1
	idBroken  = 1 << 2 // the wildcards' places did not fit
)

// Token is a place taken apart.
type Token struct {
	Stamped bool // Stamp counts
	Stamp   uint32
	Based   bool // the wildcards' places are there, and Base counts
	Base    int64
	Broken  bool                               // the wildcards' places did not fit
	named   map[uint64]broker.Position         // of channels asked for by name, by their hash; zero: nothing was ever published
	wild    map[broker.Channel]broker.Position // of wildcards' channels
}

// MostChannels is how many channels may be asked for at once: their places must fit a text.
const MostChannels = 100

// Parse reads a place among the channels of patterns: one of ours or, where there is a single channel, a position as the other
// protocols have it. The error is of kind Invalid.
func Parse(text string, patterns []broker.Pattern) (*Token, error) {
	if len(patterns) == 1 && strings.ContainsRune(text, '-') {
		if c, ok := patterns[0].Channel(); ok {
			if p, err := broker.ParsePosition(text); err == nil {
				return &Token{named: map[uint64]broker.Position{hashOf(c): p}}, nil
			}
		}
	}
	return parse(text)
}

// See notes where a reader is in one of the channels that it asks for, whatever t says of it. A nil t stands for no place. It is false for
// a channel that no pattern matches, and for one of a wildcard whose place t does not have.
func (t *Token) See(c broker.Channel, at broker.Position, patterns []broker.Pattern) (*Token, bool) {
	if t == nil {
		t = &Token{named: map[uint64]broker.Position{}, wild: map[broker.Channel]broker.Position{}}
	}
	if slices.Contains(patterns, broker.Pattern(c)) {
		t.named[hashOf(c)] = at
		return t, true
	}
	matches := slices.ContainsFunc(patterns, func(p broker.Pattern) bool { return p.Matches(c) })
	if matches && t.Based {
		t.wild[c] = at
	}
	return t, matches && (t.Based || t.Broken)
}

// String is the text that t was taken from, or could have been.
func (t *Token) String() string {
	raw := []byte{idVersion}
	if t.Stamped {
		raw[0] |= idStamped
		raw = appendStamp(raw, t.Stamp)
	}
	raw = binary.AppendUvarint(raw, uint64(len(t.named)))
	for _, hash := range slices.Sorted(maps.Keys(t.named)) {
		raw = appendNamed(raw, hash, t.named[hash])
	}
	if t.Broken {
		raw[0] |= idBroken
	}
	if t.Based {
		raw[0] |= idBased
		raw = appendBase(raw, t.Base)
		for _, ch := range slices.Sorted(maps.Keys(t.wild)) {
			raw = appendWild(raw, ch, t.wild[ch])
		}
	}
	id, _ := seal(nil, raw)
	return string(id)
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

// seal appends the check to raw, and the whole as text to dst. raw must be of its own: it is appended to.
func seal(dst, raw []byte) (id, scratch []byte) {
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	return appendText(dst, raw), raw
}

const idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// appendText is idText.AppendEncode for three quarters of its price.
func appendText(dst, raw []byte) []byte {
	for ; len(raw) >= 8; raw = raw[6:] {
		v := binary.BigEndian.Uint64(raw) // six bytes of which are eight letters
		dst = binary.BigEndian.AppendUint64(dst, uint64(idLetters[v>>58])<<56|uint64(idLetters[v>>52&63])<<48|
			uint64(idLetters[v>>46&63])<<40|uint64(idLetters[v>>40&63])<<32|uint64(idLetters[v>>34&63])<<24|
			uint64(idLetters[v>>28&63])<<16|uint64(idLetters[v>>22&63])<<8|uint64(idLetters[v>>16&63]))
	}
	return idText.AppendEncode(dst, raw)
}

// AppendSingle appends what Cursor.Append would behind m for a stream of its channel alone.
func AppendSingle(dst []byte, m *broker.Message) []byte {
	raw := binary.AppendUvarint(append(make([]byte, 0, 32), idVersion), 1)
	dst, _ = seal(dst, appendNamed(raw, hashOf(m.Channel), m.Position))
	return dst
}

// idLength is the text's length for n bytes before the check.
func idLength(n int) int { return idText.EncodedLen(n + 4) }

// parse reads a text of ours. The error is of kind Invalid.
func parse(s string) (*Token, error) {
	bad := broker.Errorf(broker.Invalid, "%s is not a place that this server gave out; leave it away to begin with what comes next", broker.Quote(s))
	if len(s) > maxText {
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
	t := &Token{
		Stamped: flags&idStamped != 0, Based: flags&idBased != 0, Broken: flags&idBroken != 0,
		named: map[uint64]broker.Position{}, wild: map[broker.Channel]broker.Position{},
	}
	if flags&^(idStamped|idBased|idBroken) != idVersion {
		return nil, bad
	}
	if t.Stamped {
		t.Stamp = binary.BigEndian.Uint32(r.bytes(4))
	}
	good := r.named(t)
	if t.Based {
		t.Base = int64(r.varint() & (1<<62 - 1))
	}
	good = good && r.wild(t)
	if !good || r.bad {
		return nil, bad
	}
	return t, nil
}

// named reads the places of channels asked for by name; false if one is there twice.
func (r *idReader) named(t *Token) bool {
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
func (r *idReader) wild(t *Token) bool {
	for len(r.rest) > 0 {
		n := r.varint()
		if n > broker.MaxChannelBytes || !t.Based {
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
