package component

import (
	"errors"
	"fmt"
	"strings"
)

// The closed set of errors of this package. Everything it returns wraps one of these, a [*StreamError], a context's
// error, or the error of the network.
var (
	// ErrDown: there is no acknowledged link at the moment. The stanza was not queued; Options.Up tells when to try again.
	ErrDown = errors.New("component: link is down")

	// ErrFull: the outbound queue holds MaxOutbound bytes. The stanza was not queued; Options.Writable tells when to try again.
	ErrFull = errors.New("component: outbound queue is full")

	// ErrTooBig: the stanza is above MaxOutStanza and would cost the whole link. It was not queued and never can be.
	ErrTooBig = errors.New("component: stanza is too big to send")

	// ErrBadStanza: the bytes given to [Check] are not one stanza that a server would accept from us.
	ErrBadStanza = errors.New("component: not a sendable stanza")

	// ErrRefused: the answer to a Request arrived but broke a limit, or was not XML.
	ErrRefused = errors.New("component: answer refused")

	// ErrHandshake: the peer did not complete XEP-0114's handshake: no stream header, no stream id, no acknowledgement.
	ErrHandshake = errors.New("component: handshake failed")

	// ErrFraming: what the server sent cannot be cut into stanzas. Only the server itself can cause this, no user can.
	ErrFraming = errors.New("component: stream is not well-formed")

	// ErrSilent: nothing came for PingInterval, nor within PingTimeout of the ping that followed.
	ErrSilent = errors.New("component: server does not answer")

	// ErrClosed: the server ended the stream without giving a reason.
	ErrClosed = errors.New("component: stream closed by the server")

	// ErrRunning: Run was called while another Run of the same Link is active.
	ErrRunning = errors.New("component: link is already running")
)

// StreamError is a <stream:error/> from the server. It always ends the link.
type StreamError struct {
	Condition string // RFC 6120 §4.9.3: "not-authorized", "conflict", "system-shutdown"…
	Text      string // the server's own words, cut to 256 bytes; may be empty
	Host      string // what see-other-host names; never followed (see doc.go)
}

func (e *StreamError) Error() string {
	s := "component: server ended the stream: " + e.Condition
	if e.Host != "" {
		s += fmt.Sprintf(" (%q)", e.Host)
	}
	if e.Text != "" {
		s += fmt.Sprintf(": %q", e.Text)
	}
	return s
}

// streamError reads <stream:error/>. RFC 6120 §4.9.2: the condition is the child that is not <text/>.
func streamError(el *Element) *StreamError {
	e := &StreamError{Condition: "undefined-condition"}
	for _, c := range el.Children {
		switch {
		case c.Name.Space != nsStreamErrors:
		case c.Name.Local == "text":
			e.Text = clip(c.Text)
		default:
			e.Condition = clip(c.Name.Local)
			if e.Condition == "see-other-host" {
				e.Host = clip(c.Text)
			}
		}
	}
	return e
}

// clip bounds what a server can put into our logs.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 256)], "") }

// remedy says what a person must do before another attempt can succeed, or "" when waiting is enough. A failure with a
// remedy is retried slowly and logged as an error.
func remedy(err error) string {
	var se *StreamError
	if !errors.As(err, &se) {
		return ""
	}
	switch se.Condition {
	case "not-authorized":
		return "set the secret to the one the XMPP server has for this component (ejabberd answers the same when it does not know the domain)"
	case "host-unknown":
		return "declare the component's domain in the XMPP server's configuration, and check that the address is its component port"
	case "conflict":
		return "another component is connected for this domain: stop it, or let the server replace the old link (Prosody: component_conflict_resolve = \"kick_old\")"
	case "see-other-host":
		return "set the server address to the host that the server names"
	case "invalid-namespace", "unsupported-version", "improper-addressing", "invalid-from":
		return "check that the address is a component port (XEP-0114) and the domain is the component's"
	}
	return ""
}
