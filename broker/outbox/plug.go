package outbox

import (
	"bufio"
	"net"
	"net/http"
)

// Plug is the connection of a library that upgrades a request to another protocol and then reads. What such a library writes by itself
// after the upgrade, an answer to a peer that broke the protocol, goes through the outbox:
//
//	w, plug := outbox.Upgrading(w)
//	ws, err := upgrader.Upgrade(w, r, nil)
//	plug.Out = x.Attach(plug.Conn, source)
type Plug struct {
	net.Conn       // set by the upgrade
	Out      *Conn // to be set after the upgrade, before anything reads
}

// Upgrading wraps w for the library.
func Upgrading(w http.ResponseWriter) (http.ResponseWriter, *Plug) {
	p := new(Plug)
	return plugged{w, p}, p
}

type plugged struct {
	http.ResponseWriter
	plug *Plug
}

// Hijack implements http.Hijacker.
func (p plugged) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(p.ResponseWriter).Hijack()
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
