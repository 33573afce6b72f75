//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// givenOut are the ports that freeAddr has given to somebody, who may be away for a moment.
var givenOut sync.Map

// freeAddr is a loopback address that nobody listens on, and that was never given out before. Its port is below those
// that Linux hands out by itself: while waft is away, one of the many clients
// knocking at its port might else be given that very port to knock from.
func freeAddr() string {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if _, taken := givenOut.LoadOrStore(addr, true); taken {
			continue
		}
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
