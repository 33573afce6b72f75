package broker

import (
	"strconv"
	"strings"
)

// Position is a message's place in its channel: the offset counts the channel's messages from 1, the epoch names
// the history in which it counts. When a history is lost (restart of the memory engine, eviction) the channel
// begins a new epoch, so an old offset can never be mistaken for a new one: a reader that resumes with offset 7
// of epoch A is told HistoryLost instead of being handed messages 8 and up of epoch B.
//
// The zero Position is no position. Clients carry its text and never look inside.
type Position struct {
	Epoch  uint64
	Offset uint64
}

// IsZero tells whether p is no position.
func (p Position) IsZero() bool { return p == Position{} }

// String is the position as clients carry it, the same on every protocol: letters, digits and one "-", so that it
// fits a URL, an SSE id, an XML attribute and a Bayeux token. The zero position is "".
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	b := strconv.AppendUint(make([]byte, 0, 24), p.Epoch, 36)
	b = append(b, '-')
	return string(strconv.AppendUint(b, p.Offset, 10))
}

// ParsePosition reads what String wrote; "" is the zero position. The error is of kind Invalid.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	e, o, ok := strings.Cut(s, "-")
	epoch, err1 := strconv.ParseUint(e, 36, 64)
	offset, err2 := strconv.ParseUint(o, 10, 64)
	p := Position{Epoch: epoch, Offset: offset}
	if !ok || err1 != nil || err2 != nil || p.IsZero() || !written(e) || !written(o) {
		return Position{}, Errorf(Invalid, "%s is not a position that this server gave out", Quote(s))
	}
	return p, nil
}

// written tells whether a number that can be read is as String writes it: of capitals and zeros in front there would be several texts.
func written(number string) bool {
	return (number[0] != '0' || len(number) == 1) && strings.ToLower(number) == number
}
