package park

import "net"

// Wrapper is a connection around another, of which it held or may hold something back, a header or bytes that were read ahead, and which it leaves
// as it is otherwise. It stays the one that is closed, is asked for addresses, and is given deadlines.
type Wrapper interface {
	net.Conn

	// Plain is the connection within, once what is read from and written to that is the same as here, for ever; until then nil.
	// Only who reads asks.
	Plain() net.Conn
}

// Plain is the socket that nc is, or wraps and does not change any more; nil if there is none. What is TLS does not say so of itself.
func Plain(nc net.Conn) net.Conn {
	for {
		switch c := nc.(type) {
		case *net.TCPConn, *net.UnixConn:
			return nc
		case Wrapper:
			nc = c.Plain()
		default:
			return nil
		}
	}
}
