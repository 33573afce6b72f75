package bayeux

import (
	"errors"
	"strconv"

	"waft/broker"
)

// fault is a Bayeux error: "code:args:words". The zero fault is none.
//
// Faye's client reads the text with a strict grammar (Bayeux 1.0, "error"): three digits, arguments of letters, digits and
// -_!~()$@ /*. and commas, words of the same without the comma. One byte outside it, and the application sees
// no code at all. Words are ours and keep to it; arguments are strangers' and are made to.
type fault struct {
	code  int
	arg   string
	words string
}

func (f fault) ok() bool { return f.code == 0 }

// Faults of the protocol itself: Faye's table.
var (
	badMessage      = fault{400, "", "Bad request"}
	handshakeDenied = fault{403, "", "Handshake denied"}
)

func typesNotSupported(offered string) fault {
	return fault{301, offered, "Connection types not supported"}
}
func unknownClient(id string) fault      { return fault{401, id, "Unknown client"} }
func missing(field string) fault         { return fault{402, field, "Missing required parameter"} }
func forbiddenChannel(name string) fault { return fault{403, name, "Forbidden channel"} }
func invalidChannel(name string) fault   { return fault{405, name, "Invalid channel"} }

// faultOf says what the broker, the authorizer or the authenticator found wrong, in Bayeux words. arg is what it was about:
// a channel, or nothing. More than this is for the log.
func faultOf(err error, arg string) fault {
	if errors.Is(err, broker.ErrCredentialExpired) {
		return fault{403, arg, "Credential expired"}
	}
	if errors.Is(err, broker.ErrDamped) {
		return fault{429, arg, "Too many refused credentials"}
	}
	switch broker.KindOf(err) {
	case broker.Invalid:
		return fault{400, arg, "Bad request"}
	case broker.Unauthenticated:
		return fault{403, arg, "Authentication required"}
	case broker.Forbidden:
		return forbiddenChannel(arg)
	case broker.NotFound:
		return fault{404, arg, "Unknown channel"}
	case broker.Conflict:
		return fault{409, arg, "Conflict"}
	case broker.TooLarge:
		return fault{413, arg, "Message too large"}
	case broker.RateLimited:
		return fault{429, arg, "Limit reached"}
	case broker.SlowConsumer:
		return fault{408, arg, "Session too slow"}
	case broker.HistoryLost:
		return fault{410, arg, "History lost"}
	case broker.Unavailable, broker.Closed:
		return fault{503, arg, "Service unavailable"}
	case broker.Internal:
		return fault{500, "", "Internal server error"}
	}
	return fault{500, "", "Internal server error"}
}

// maxArg is how much of a stranger's text an error repeats.
const maxArg = 128

// appendTo writes the error as a JSON string.
func (f fault) appendTo(b []byte) []byte {
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(f.code), 10)
	b = append(b, ':')
	n := 0
	for _, r := range f.arg {
		if n++; n > maxArg {
			break
		}
		if r < 0x80 && argByte[r] {
			b = append(b, byte(r))
		} else {
			b = append(b, '_')
		}
	}
	b = append(b, ':')
	b = append(b, f.words...)
	return append(b, '"')
}

// argByte is the alphabet of arguments.
var argByte = func() (ok [128]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_!~()$@ /*.,-") {
		ok[c] = true
	}
	return ok
}()
