package broker

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a channel name. They hold on every entrance, so that a name accepted by one protocol can be
// delivered by all the others.
const (
	MaxChannelBytes    = 512
	MaxChannelSegments = 32
)

// Channel is the name of one stream of messages: "/" and a segment, 1 to 32 times, each segment one or more of
// A-Z a-z 0-9 _ ! ~ ( ) $ @ - (the grammar of Bayeux 1.0, outside which Faye's client crashes).
// ParseChannel and ParseName are the only ways in from outside.
type Channel string

// ParseChannel checks that s is a channel as a whole and gives it its type. The error is of kind Invalid and
// names the first bad byte and its place.
func ParseChannel(s string) (Channel, error) {
	if err := checkName(s, s); err != nil {
		return "", err
	}
	return Channel(s), nil
}

// ParseName is ParseChannel for doors whose users write names without the leading slash (REST, XMPP): "news" is
// the channel "/news".
func ParseName(s string) (Channel, error) {
	return ParseChannel(withSlash(s))
}

func withSlash(s string) string {
	if s == "" || s[0] == '/' {
		return s
	}
	return "/" + s
}

// Reserved tells whether c is in one of the spaces that belong to Bayeux (/meta and /service): never published
// to and never subscribed to through the broker.
func (c Channel) Reserved() bool { return reserved(string(c)) }

func reserved(s string) bool {
	first, _, _ := strings.Cut(s[1:], "/")
	return first == "meta" || first == "service"
}

// checkName holds s against the grammar. whole is what the error shows: s with a wildcard still on it, perhaps.
func checkName(s, whole string) error {
	switch {
	case s == "":
		return Errorf(Invalid, "a channel name is missing")
	case len(whole) > MaxChannelBytes:
		return Errorf(Invalid, "the channel name has %d bytes, more than the limit of %d", len(whole), MaxChannelBytes)
	case s[0] != '/':
		return Errorf(Invalid, "channel %s does not begin with a slash", Quote(whole))
	}
	segments, empty := 0, true
	for i := range len(s) {
		c := s[i]
		switch {
		case c != '/':
			if !segmentByte[c] {
				return Errorf(Invalid, "channel %s has %s at byte %d, which no channel may have", Quote(whole), byteName(s, i), i)
			}
			empty = false
		case i > 0 && empty:
			return Errorf(Invalid, "channel %s has an empty segment at byte %d", Quote(whole), i)
		default:
			segments++
			empty = true
		}
	}
	if empty {
		return Errorf(Invalid, "channel %s ends with a slash", Quote(whole))
	}
	if segments > MaxChannelSegments {
		return Errorf(Invalid, "the channel name has %d segments, more than the limit of %d", segments, MaxChannelSegments)
	}
	return nil
}

// segmentByte is the alphabet of a segment.
var segmentByte = func() (ok [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_!~()$@-") {
		ok[c] = true
	}
	return ok
}()

func byteName(s string, i int) string {
	if r, size := utf8.DecodeRuneInString(s[i:]); size > 1 {
		return fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("%q", s[i:i+1])
}

// Quote shows a stranger's text in an error or a log line: quoted, escaped, and cut where it gets long.
func Quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%.*q…", most, s)
	}
	return fmt.Sprintf("%q", s)
}
