//go:build interop

package interop

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// dialStalled connects as somebody would whose network hardly moves: a small window and small segments, so that the
// kernel holds little of what is not read. (On loopback it would else hold 2.5 MB for each, and run out of memory for sockets.)
func dialStalled(addr string) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(2+dialled.Add(1)/5_000%200))}
	d := net.Dialer{LocalAddr: from, Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096); err == nil {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1000)
			}
		}); e != nil {
			return e
		}
		return err
	}}
	return d.Dial("tcp", addr)
}

// openStalled makes sessions that have subscribed, hold a connect, and read nothing until somebody does.
func openStalled(t *testing.T, addr string, n int, channels ...string) []*rawClient {
	t.Helper()
	return openMany(t, n, func(int) (*rawClient, error) {
		nc, err := dialStalled(addr)
		if err != nil {
			return nil, err
		}
		c, err := beginRaw(nc, addr, websocketType, channels[0], nil)
		for _, channel := range channels[1:] {
			if err == nil {
				_, err = c.ask("/meta/subscribe", `"subscription":"`+channel+`"`)
			}
		}
		if err == nil {
			_, err = c.send("/meta/connect", c.connectFields())
		}
		return c, err
	})
}

// labelled is a metric's value with a label, 0 if it is not there.
func (w *waft) labelled(t *testing.T, name, label string) (sum float64) {
	t.Helper()
	resp, err := http.Get(w.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^`+name+`\{[^}]*`+regexp.QuoteMeta(label)+`[^}]*\} (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", name, err))
		}
		sum += n
	}
	return sum
}
