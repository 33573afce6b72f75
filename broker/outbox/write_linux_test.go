package outbox

import (
	"crypto/tls"
	"net"
	"testing"
)

// What is written past a TLS connection would go out in the clear.
func TestRawFD_is_that_of_a_socket_and_of_nothing_that_changes_what_is_written(t *testing.T) {
	server, client := socketPair(t)
	defer server.Close()
	defer client.Close()
	fd := rawFD(server)
	if fd < 0 {
		t.Fatal("a socket has none")
	}
	if got := rawFD(wrapped{server}); got != fd {
		t.Errorf("a wrapped socket has %d, want %d", got, fd)
	}
	if got := rawFD(wrapped{plain{server}}); got != -1 {
		t.Errorf("a wrapped connection that offers none has %d", got)
	}
	if got := rawFD(struct{ *net.TCPConn }{server.(*net.TCPConn)}); got != -1 {
		t.Errorf("a connection that may change what is written has %d", got)
	}
	if got := rawFD(tls.Server(wrapped{server}, &tls.Config{})); got != -1 {
		t.Errorf("TLS over one has %d", got)
	}
	if got := rawFD(plain{server}); got != -1 {
		t.Errorf("a connection that offers none has %d", got)
	}
}
