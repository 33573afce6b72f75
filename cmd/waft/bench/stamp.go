package bench

import "bytes"

// stamp is what a message of a run says about itself. On the wire it is text of fixed width made of letters, digits
// and dots, so that it comes through any server unescaped, whatever that does to JSON: integers of 64 bits would not
// survive JavaScript, nor would the order of members survive Java.
//
//	waftbench.RRRRRRRR.PPPP.CCCCCC.NNNNNNNNNN.TTTTTTTTTTTTTTTT.xxxx…
type stamp struct {
	run       uint32 // of this run; others' messages are strays
	publisher int    // 0 … 65,535
	channel   int    // its number, 0 … 16,777,215
	n         uint64 // among what this publisher sent to this channel, from 0
	at        int64  // nanoseconds since 1970: when it was meant to be sent
}

const (
	stampMark  = "waftbench."
	stampBytes = len(stampMark) + 8 + 1 + 4 + 1 + 6 + 1 + 10 + 1 + 16 + 1

	payloadHead = `{"m":"`
	payloadTail = `"}`

	// MinSize is the size of the smallest payload, in bytes.
	MinSize = len(payloadHead) + stampBytes + len(payloadTail)
)

// appendPayload appends the JSON of a message of size bytes; below MinSize it has that.
func (s stamp) appendPayload(b []byte, size int) []byte {
	b = append(b, payloadHead...)
	b = append(b, stampMark...)
	b = appendHex(b, uint64(s.run), 8)
	b = append(b, '.')
	b = appendHex(b, uint64(s.publisher), 4)
	b = append(b, '.')
	b = appendHex(b, uint64(s.channel), 6)
	b = append(b, '.')
	b = appendHex(b, s.n, 10)
	b = append(b, '.')
	b = appendHex(b, uint64(s.at), 16)
	b = append(b, '.')
	for range size - MinSize {
		b = append(b, 'x')
	}
	return append(b, payloadTail...)
}

// eachStamp calls see with every stamp in text, and gives what is left of text: the beginning of a stamp that has not
// come yet may be in it.
func eachStamp(text []byte, see func(stamp)) (rest []byte) {
	for {
		i := bytes.Index(text, []byte(stampMark))
		if i < 0 {
			return text[max(0, len(text)-len(stampMark)+1):]
		}
		text = text[i:]
		if len(text) < stampBytes {
			return text
		}
		s, ok := parseStamp(text)
		if !ok {
			text = text[len(stampMark):]
			continue
		}
		see(s)
		text = text[stampBytes:]
	}
}

// parseStamp reads the stamp that text begins with; it is long enough.
func parseStamp(text []byte) (s stamp, ok bool) {
	at, good := len(stampMark), true
	field := func(digits int) uint64 {
		v, valid := parseHex(text[at : at+digits])
		good = good && valid && text[at+digits] == '.'
		at += digits + 1
		return v
	}
	s.run = uint32(field(8))
	s.publisher = int(field(4))
	s.channel = int(field(6))
	s.n = field(10)
	s.at = int64(field(16))
	return s, good
}

const hexDigits = "0123456789abcdef"

func appendHex(b []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&15])
	}
	return b
}

func parseHex(text []byte) (v uint64, ok bool) {
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
