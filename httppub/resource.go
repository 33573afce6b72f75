package httppub

import (
	"net/url"
	"strings"

	"waft/broker"
)

// resource is what an address of a Reader names.
type resource struct {
	kind    resourceKind
	base    string         // escaped path up to the resource, without a slash at the end
	channel broker.Channel // of oneChannel, messageList and oneMessage
	name    string         // an item's id, a session's label
}

type resourceKind uint8

const (
	channelList resourceKind = iota // /channels
	oneChannel                      // /channels/{channel}
	messageList                     // /channels/{channel}/messages
	oneMessage                      // /channels/{channel}/messages/{id}
	sessionList                     // /sessions
	oneSession                      // /sessions/{label}
	usage                           // /usage
)

// methods is the Allow of a 405.
func (k resourceKind) methods() string {
	if k == oneMessage || k == oneSession {
		return "DELETE, OPTIONS"
	}
	return "GET, HEAD, OPTIONS"
}

// parameters are the names that its query may have.
func (k resourceKind) parameters() []string {
	switch k {
	case channelList:
		return []string{"prefix", "after", "limit"}
	case messageList:
		return []string{"since", "before", "limit", "order", "wait"}
	case sessionList:
		return []string{"after", "limit"}
	case oneChannel, oneMessage, oneSession, usage:
	}
	return nil
}

// cutResource splits an escaped path behind /realm/{realm}; ok tells whether it is one of a Reader's.
func cutResource(escaped string) (realm string, segments []string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/realm/")
	if !ok {
		return "", nil, false
	}
	realm, rest, _ = strings.Cut(rest, "/")
	segments = strings.Split(strings.TrimSuffix(rest, "/"), "/")
	switch segments[0] {
	case "channels", "sessions", "usage":
		return realm, segments, realm != ""
	}
	return "", nil, false
}

// parseResource reads an escaped path. A channel is one segment of it, whose own slashes are written as %2F or, where
// something on the way would take that for a slash, as a colon, which no channel has: so a channel that is called
// /chat/messages is another address than the messages of /chat. One slash at the end makes no difference. The error is of kind
// NotFound or Invalid.
func parseResource(escaped string) (resource, error) {
	_, segments, ok := cutResource(escaped)
	if !ok {
		return resource{}, errNowhere(escaped)
	}
	to := resource{base: strings.TrimSuffix(escaped, "/")}
	n := len(segments)
	switch segments[0] {
	case "channels":
		if n > 4 || n > 2 && segments[2] != "messages" {
			return to, broker.Errorf(broker.NotFound,
				"there is nothing at %s; a channel is one part of the address: write its slashes as %%2F or as a colon", broker.Quote(escaped))
		}
		to.kind = [...]resourceKind{channelList, oneChannel, messageList, oneMessage}[n-1]
		if n == 1 {
			return to, nil
		}
		var err error
		if to.channel, err = parseSegment(segments[1]); err != nil || n < 4 {
			return to, err
		}
		to.name, err = unescape("id", segments[3])
		return to, err
	case "sessions":
		to.kind = sessionList
		if n > 2 {
			return to, errNowhere(escaped)
		}
		if n == 1 {
			return to, nil
		}
		var err error
		to.kind = oneSession
		to.name, err = unescape("session", segments[1])
		return to, err
	default:
		to.kind = usage
		if n > 1 {
			return to, errNowhere(escaped)
		}
		return to, nil
	}
}

func errNowhere(escaped string) error {
	return broker.Errorf(broker.NotFound, "there is nothing at %s; a realm has channels/, sessions/ and usage", broker.Quote(escaped))
}

// parseSegment reads a channel that is one segment.
func parseSegment(escaped string) (broker.Channel, error) {
	name, err := unescape("channel", escaped)
	if err != nil {
		return "", err
	}
	c, err := broker.ParseName(strings.ReplaceAll(name, ":", "/"))
	if err == nil && c.Reserved() {
		return "", broker.Errorf(broker.Forbidden, "%s belongs to Bayeux and keeps nothing", c)
	}
	return c, err
}

func unescape(what, escaped string) (string, error) {
	s, err := url.PathUnescape(escaped)
	if err != nil {
		return "", broker.Errorf(broker.Invalid, "the %s in the address: %v", what, err)
	}
	if s == "" {
		return "", broker.Errorf(broker.Invalid, "the %s in the address is empty", what)
	}
	return s, nil
}
