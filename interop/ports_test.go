//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// freeAddr is a loopback address that nobody listens on. Its port is below those
// that Linux hands out by itself: while waft is away, one of the many clients
// knocking at its port might else be given that very port to knock from.
func freeAddr() string {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
}

// listening reports whether somebody accepts connections at addr.
func listening(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// port is the port of an address.
func port(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return port
}
