//go:build linux

package park

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// clothed is a connection with something around it, which may hold bytes.
type clothed struct {
	net.Conn
	held bool
}

func (c clothed) Plain() net.Conn {
	if c.held {
		return nil
	}
	return c.Conn
}

// counting looks like its socket to whoever asks for a descriptor, and is not.
type counting struct {
	*net.TCPConn
	n int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.n += n
	return n, err
}

func TestPlain_is_the_socket_within_and_nothing_that_changes_what_passes(t *testing.T) {
	here, _ := pair(t)
	for name, c := range map[string]struct {
		nc   net.Conn
		want net.Conn
	}{
		"a socket":                          {here, here},
		"wrapped":                           {clothed{here, false}, here},
		"twice":                             {clothed{clothed{here, false}, false}, here},
		"with bytes":                        {clothed{here, true}, nil},
		"with bytes within":                 {clothed{clothed{here, true}, false}, nil},
		"with bytes without":                {clothed{clothed{here, false}, true}, nil},
		"TLS":                               {tls.Server(here, &tls.Config{}), nil},
		"TLS over one that is wrapped":      {tls.Server(clothed{here, false}, &tls.Config{}), nil},
		"TLS within":                        {clothed{tls.Server(here, &tls.Config{}), false}, nil},
		"one that says nothing of itself":   {struct{ net.Conn }{here}, nil},
		"one that hides a wrapped one":      {struct{ net.Conn }{clothed{here, false}}, nil},
		"one that only has its descriptor":  {&counting{TCPConn: here}, nil},
		"one that wraps nothing":            {clothed{}, nil},
		"none":                              {nil, nil},
		"the reading end of a pipe":         {first(net.Pipe()), nil},
		"the reading end, which is wrapped": {clothed{first(net.Pipe()), false}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Plain(c.nc); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			x := lot(t)
			var s Socket
			err := s.Park(x, c.nc, owner(func(*Worker, Happened) bool { return true }))
			if c.want == nil && !errors.Is(err, ErrNotPlain) || c.want != nil && err != nil {
				t.Errorf("parked: %v", err)
			}
			if err == nil {
				s.Leave()
			}
		})
	}
}

func first(nc, _ net.Conn) net.Conn { return nc }

// A wrapper that is parked is read from and closed as its socket is.
func TestSocket_of_a_wrapper_is_told_what_comes_and_may_be_closed_through_it(t *testing.T) {
	x := lot(t)
	here, there := pair(t)
	nc := clothed{here, false}
	_, read := parkReader(t, x, nc)
	write(t, there, "one")
	equal(t, "read", <-read, "one")
	nc.Close()
	if rest, err := io.ReadAll(there); err != nil || len(rest) > 0 {
		t.Errorf("instead of the end: %q %v", rest, err)
	}
}
