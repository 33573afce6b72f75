package outbox

import (
	"bufio"
	"net"
	"net/http"
)

// Plug is the connection of a library that upgrades a request to another protocol and then reads. What such a library writes by itself
// after the upgrade, an answer to a peer that broke the protocol, goes through the outbox:
//
//	w, plug := outbox.Upgrading(w, nil)
//	ws, err := upgrader.Upgrade(w, r, nil)
//	plug.Out = x.Attach(plug.Conn, source)
type Plug struct {
	net.Conn       // set by the upgrade
	Out      *Conn // to be set after the upgrade, before anything reads
}

// Upgrading wraps w for the library. bare takes off what the connection wears and nobody needs any more; it may be nil.
func Upgrading(w http.ResponseWriter, bare func(net.Conn) net.Conn) (http.ResponseWriter, *Plug) {
	p := new(Plug)
	return plugged{w, p, bare}, p
}

type plugged struct {
	http.ResponseWriter
	plug *Plug
	bare func(net.Conn) net.Conn
}

// Hijack implements http.Hijacker.
func (p plugged) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(p.ResponseWriter).Hijack()
	if err == nil && p.bare != nil {
		nc = p.bare(nc)
	}
	p.plug.Conn = nc
	return p.plug, rw, err
}

// Write gives b to the outbox, once there is one.
func (p *Plug) Write(b []byte) (int, error) {
	if p.Out == nil {
		return p.Conn.Write(b)
	}
	if err := p.Out.Write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}
