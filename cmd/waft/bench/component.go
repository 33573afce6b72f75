package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // XEP-0114 §3 wants it
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Component says how the component that is to be measured reaches its XMPP server, whose part is played here.
type Component struct {
	Listen string `json:"listen"` // where the component connects to: host:port
	Domain string `json:"domain"` // the component's own
	Host   string `json:"host"`   // of the subscribers' addresses; the domain without its first label
	Secret string `json:"secret"`
}

// linkTimeout is how long the component may take to come: it tries again ever less often while there is no server.
const linkTimeout = 90 * time.Second

// check says what is wrong with it.
func (c Component) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		return fmt.Errorf("listening for the component: %q is not an address such as 127.0.0.1:5347", c.Listen)
	case net.ParseIP(host) == nil:
		return fmt.Errorf("listening for the component: %q is no IP address of this machine", host)
	case c.Domain == "" || strings.ContainsAny(c.Domain+c.Host, "@/ '\"<>&"):
		return fmt.Errorf("%q and %q are not the domains of a component and its server", c.Domain, c.Host)
	case c.Secret == "":
		return errors.New("the secret that the component shares with its server is not known")
	}
	return nil
}

// complete fills in what was left out.
func (c *Component) complete() {
	if c.Host == "" {
		c.Host = c.Domain
		if _, parent, ok := strings.Cut(c.Domain, "."); ok {
			c.Host = parent
		}
	}
}

// link is a component's connection, seen from the server.
type link struct {
	Component
	net.Conn
	rest []byte // read and not used yet
}

// await listens until the component has come and proven that it knows the secret. Whoever hangs up before is not it.
func (c Component) await(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("taking the XMPP server's place: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer l.Close() // a second component would be in the way
	var last error
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, fmt.Errorf("waiting at %s for the component %s: %w", c.Listen, c.Domain, errors.Join(err, last))
		}
		k := &link{Component: c, Conn: nc}
		_ = nc.SetDeadline(time.Now().Add(dialTimeout))
		stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
		err = k.handshake()
		stop()
		if err == nil {
			return k, nc.SetDeadline(time.Time{})
		}
		_ = nc.Close()
		if _, wrong := errors.AsType[*wrongComponent](err); wrong {
			return nil, err
		}
		last = err
	}
}

// wrongComponent is one that this server has no place for, and that will not change.
type wrongComponent struct{ text string }

func (e *wrongComponent) Error() string { return e.text }

// handshake is the server's part of XEP-0114 §3.
func (k *link) handshake() error {
	header, err := k.read(streamHeader)
	if err != nil {
		return fmt.Errorf("waiting for the component's stream header: %w", err)
	}
	to := string(attribute(header, "to"))
	id := rand.Text()
	if err := k.send("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='" +
		k.Domain + "' id='" + id + "'>"); err != nil {
		return err
	}
	if to != k.Domain {
		return k.refuse("host-unknown", fmt.Sprintf("the component is %.100q and not %q", to, k.Domain))
	}
	proof, err := k.read(nextStanza)
	if err != nil {
		return fmt.Errorf("waiting for the component's digest: %w", err)
	}
	digest := sha1.Sum([]byte(id + k.Secret)) //nolint:gosec // see above
	if !bytes.Equal(proof, []byte("<handshake>"+hex.EncodeToString(digest[:])+"</handshake>")) {
		return k.refuse("not-authorized", "the component has another secret for its server")
	}
	return k.send("<handshake/>")
}

// refuse tells the component why it has no place here.
func (k *link) refuse(condition, text string) error {
	_ = k.send("<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
	return &wrongComponent{text}
}

// read reads until find finds something.
func (k *link) read(find func(b []byte) (found []byte, size int, err error)) ([]byte, error) {
	for b := make([]byte, 4<<10); ; {
		found, size, err := find(k.rest)
		if size > 0 {
			k.rest = k.rest[size:]
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		n, err := k.Read(b)
		if err != nil {
			return nil, err
		}
		k.rest = append(k.rest, b[:n]...)
	}
}

// send writes one stanza, whole among those of other goroutines.
func (k *link) send(text string) error {
	_ = k.SetWriteDeadline(time.Now().Add(dialTimeout)) // it fails on a closed connection, as does the write
	_, err := k.Write([]byte(text))
	return err
}

// answer says to an iq what a server says: yes to pings (XEP-0199), and that there is nothing else here.
func (k *link) answer(iq []byte) error {
	to := "' to='" + string(attribute(iq, "from")) + "' from='" + string(attribute(iq, "to")) + "' id='" + string(attribute(iq, "id")) + "'"
	if bytes.Contains(iq, []byte("<ping xmlns='urn:xmpp:ping'")) {
		return k.send("<iq type='result" + to + "/>")
	}
	return k.send("<iq type='error" + to + "><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
}
