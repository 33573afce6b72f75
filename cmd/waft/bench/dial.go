package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 §1.3 wants it
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// dialTimeout is how long a connection may take until it is subscribed.
const dialTimeout = 30 * time.Second

// line is a connection while it is being opened: blocking, buffered, with a deadline.
type line struct {
	net.Conn
	in    *bufio.Reader
	at    place
	token string
}

// dial connects to at; from is the address to come from, nil for any.
func dial(ctx context.Context, at place, token string, from net.Addr) (*line, error) {
	d := net.Dialer{Timeout: dialTimeout, LocalAddr: from, KeepAlive: -1}
	nc, err := d.DialContext(ctx, "tcp", at.addr)
	if err != nil {
		return nil, err
	}
	if at.secure {
		host, _, _ := net.SplitHostPort(at.addr)
		nc = tls.Client(nc, &tls.Config{ServerName: host})
	}
	_ = nc.SetDeadline(time.Now().Add(dialTimeout))
	return &line{Conn: nc, in: bufio.NewReaderSize(nc, 4<<10), at: at, token: token}, nil
}

// head is the head of a request, without the empty line that ends it.
func (l *line) head(method, path string) string {
	text := method + " " + path + " HTTP/1.1\r\nHost: " + l.at.host + "\r\n"
	if l.token != "" {
		text += "Authorization: Bearer " + l.token + "\r\n"
	}
	return text
}

// upgrade makes it a WebSocket that speaks a subprotocol; "": none is named.
func (l *line) upgrade(path, subprotocol string) error {
	var random [16]byte
	_, _ = rand.Read(random[:]) // it never fails
	key := base64.StdEncoding.EncodeToString(random[:])
	head := l.head(http.MethodGet, path)
	if subprotocol != "" {
		head += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	_, err := l.Write([]byte(head +
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n"))
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return fmt.Errorf("upgrading to a WebSocket: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return refused(resp)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 §4.2.2
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("the server upgrades to a WebSocket with a wrong Sec-WebSocket-Accept %.40q", got)
	}
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); subprotocol != "" && got != subprotocol {
		return fmt.Errorf("the server upgrades to a WebSocket that does not speak %s, but %.40q", subprotocol, got)
	}
	return nil
}

// refused says what a response says that is not the one hoped for.
func refused(resp *http.Response) error {
	defer resp.Body.Close()
	text := make([]byte, 300)
	n, _ := resp.Body.Read(text)
	return refusal(resp.StatusCode, text[:n])
}

func refusal(status int, body []byte) error {
	text := strings.Join(strings.Fields(string(body[:min(len(body), 300)])), " ")
	return &refusedError{fmt.Sprintf("the server answered %d %s: %s", status, http.StatusText(status), text)}
}

// refusedError is a server's no to one request; the connection is good for others.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// leftover is what has arrived and is not yet read.
func (l *line) leftover() []byte {
	b, _ := l.in.Peek(l.in.Buffered())
	return append([]byte(nil), b...)
}
