//go:build interop

package interop

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// rawUser is a logged-in user of an XMPP server who writes whatever bytes she
// likes. Libraries would not let her.
type rawUser struct {
	conn net.Conn
	in   *xml.Decoder
}

// login logs a user in, as RFC 6120 §9.1 has it but without TLS.
func (s *xmppServer) login(user string) (*rawUser, error) {
	conn, err := net.DialTimeout("tcp", s.clients, patience)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	u := &rawUser{conn: conn}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	bind := `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`
	for _, step := range []struct{ send, until string }{
		{"", "features"},
		{`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` + plain + `</auth>`, "success"},
		{"", "features"},
		{bind, "iq"},
		{"<presence/>", ""},
	} {
		if step.send == "" {
			err = u.open(s.host)
		} else {
			err = u.send(step.send)
		}
		if err == nil && step.until != "" {
			_, err = u.next(step.until)
		}
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("logging in %s: waiting for <%s>: %w", s.jid(user), step.until, err)
		}
	}
	return u, nil
}

// open opens a stream. A new one begins after authentication, and its XML is
// a document of its own.
func (u *rawUser) open(host string) error {
	u.in = xml.NewDecoder(u.conn)
	return u.send(`<?xml version='1.0'?><stream:stream xmlns='jabber:client' ` +
		`xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='` + host + `'>`)
}

func (u *rawUser) send(text string) error {
	_, err := io.WriteString(u.conn, text)
	return err
}

// next reads up to the next start of an element with the name.
func (u *rawUser) next(name string) (xml.StartElement, error) {
	for {
		token, err := u.in.RawToken()
		if err != nil {
			return xml.StartElement{}, err
		}
		element, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case element.Name.Local == name:
			return element, nil
		case element.Name.Local == "failure" || element.Name.Space == "stream" && element.Name.Local == "error":
			return element, fmt.Errorf("the server answered <%s>", element.Name.Local)
		}
	}
}

// errThrownOut says that the server has ended the user's stream.
var errThrownOut = errors.New("the server has ended the stream")

// pingPatience is how long a live component may take to answer.
const pingPatience = 10 * time.Second

// ping asks an entity for a sign of life, XEP-0199 §4.2, and returns why there
// was none. What else comes meanwhile is passed over.
func (u *rawUser) ping(to, id string) error {
	u.conn.SetDeadline(time.Now().Add(pingPatience))
	if err := u.send(`<iq type='get' to='` + to + `' id='` + id + `'><ping xmlns='urn:xmpp:ping'/></iq>`); err != nil {
		return fmt.Errorf("%w: %w", errThrownOut, err)
	}
	for {
		iq, err := u.next("iq")
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return fmt.Errorf("no answer from %s: %w", to, err)
			}
			return fmt.Errorf("%w: %w", errThrownOut, err)
		}
		if attr(iq, "id") != id || attr(iq, "from") != to {
			continue
		}
		if kind := attr(iq, "type"); kind != "result" {
			return fmt.Errorf("%s answered a ping with %q", to, kind)
		}
		return nil
	}
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// up reports whether a user of the server can reach waft through the link.
func (l *link) up() error {
	carol, err := l.login("carol")
	if err != nil {
		return err
	}
	defer carol.conn.Close()
	return carol.ping(l.service(), "up")
}
