//go:build interop

package interop

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rawClient is a Bayeux client that is little more than its connection, so that a
// test can have thousands. It speaks one transport, by hand, and does as it is
// told: nothing is sent again, and nobody reconnects. One goroutine may receive
// while another sends.
type rawClient struct {
	transport string       // a connection type
	id        string       // the clientId, after handshake
	count     atomic.Int64 // of messages sent, for their ids

	nc      net.Conn
	in      *bufio.Reader
	stream  net.Conn // of an EventSource, or a second connection
	onEvent func(rawMessage)
}

type rawMessage struct {
	Channel    string          `json:"channel"`
	ID         string          `json:"id"`
	ClientID   string          `json:"clientId"`
	Successful *bool           `json:"successful"`
	Error      string          `json:"error"`
	Data       json.RawMessage `json:"data"`
	Ext        json.RawMessage `json:"ext"`
}

// Connection types.
const (
	websocketType = "websocket"
	pollingType   = "long-polling"
	callbackType  = "callback-polling"
	streamType    = "eventsource"
)

var dialled atomic.Int64

// wantHeader has the addresses of servers whose connections are to begin with a PROXY header.
var wantHeader sync.Map

// rawDial connects from one loopback address after another: each has some 28,000
// ports, of which those of closed connections stay taken for a minute. Not from the
// first, which everything else on the machine uses.
func rawDial(addr string) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+dialled.Add(1)/5_000%200))}
	nc, err := (&net.Dialer{LocalAddr: from, Timeout: patience}).Dial("tcp", addr)
	if _, wanted := wantHeader.Load(addr); err == nil && wanted { // as a proxy writes it, here for this very client
		_, err = fmt.Fprintf(nc, "PROXY TCP4 %s 192.0.2.1 %d 80\r\n", from.IP, nc.LocalAddr().(*net.TCPAddr).Port)
	}
	return nc, err
}

func newRaw(nc net.Conn, transport string) *rawClient {
	return &rawClient{transport: transport, nc: nc, in: bufio.NewReaderSize(nc, 1024)}
}

// openRaw makes a session that has had its first connect, and has subscribed.
func openRaw(addr, transport, channel string, onEvent func(rawMessage)) (c *rawClient, err error) {
	nc, err := rawDial(addr)
	if err != nil {
		return nil, err
	}
	return beginRaw(nc, addr, transport, channel, onEvent)
}

// beginRaw is openRaw on a connection.
func beginRaw(nc net.Conn, addr, transport, channel string, onEvent func(rawMessage)) (c *rawClient, err error) {
	c = newRaw(nc, transport)
	c.onEvent = onEvent
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	c.patient()
	if transport == websocketType {
		if err := c.upgrade(); err != nil {
			return nil, err
		}
	}
	r, err := c.ask("/meta/handshake", `"version":"1.0","supportedConnectionTypes":["`+transport+`"]`)
	if err != nil {
		return nil, err
	}
	c.id = r.ClientID
	if transport == streamType {
		if err := c.openStream(addr); err != nil {
			return nil, err
		}
	}
	if _, err := c.ask("/meta/connect", c.connectFields()); err != nil {
		return nil, err
	}
	_, err = c.ask("/meta/subscribe", `"subscription":"`+channel+`"`)
	return c, err
}

func (c *rawClient) connectFields() string { return `"connectionType":"` + c.transport + `"` }

// patient gives the client time for whatever comes next.
func (c *rawClient) patient() {
	deadline := time.Now().Add(2 * patience)
	c.nc.SetDeadline(deadline)
	if c.stream != nil {
		c.stream.SetDeadline(deadline)
	}
}

// Close is close.
func (c *rawClient) Close() error {
	c.close()
	return nil
}

func (c *rawClient) close() {
	c.nc.Close()
	if c.stream != nil {
		c.stream.Close()
	}
}

// ask sends a message and waits for its reply, which must be a good one.
func (c *rawClient) ask(channel, rest string) (rawMessage, error) {
	id, err := c.send(channel, rest)
	if err != nil {
		return rawMessage{}, err
	}
	for {
		ms, err := c.receive()
		if err != nil {
			return rawMessage{}, fmt.Errorf("%s over %s: %w", channel, c.transport, err)
		}
		for _, m := range ms {
			if m.ID == id {
				return m, m.failure()
			}
		}
		if c.transport != websocketType {
			return rawMessage{}, fmt.Errorf("%s over %s: no reply in %v", channel, c.transport, ms)
		}
	}
}

func (m rawMessage) failure() error {
	if m.Successful == nil || !*m.Successful {
		return fmt.Errorf("%s failed: %s", m.Channel, m.Error)
	}
	return nil
}

// send sends a message and gives its id.
func (c *rawClient) send(channel, rest string) (id string, err error) {
	id = fmt.Sprint(c.count.Add(1))
	text := `[{"channel":"` + channel + `","id":"` + id + `"`
	if c.id != "" {
		text += `,"clientId":"` + c.id + `"`
	}
	return id, c.write(text + "," + rest + "}]")
}

// write sends an array of messages.
func (c *rawClient) write(text string) (err error) {
	switch c.transport {
	case websocketType:
		_, err = c.nc.Write(clientFrame(text))
	case callbackType:
		q := url.Values{"message": {text}, "jsonp": {"__jsonp1__"}}
		_, err = fmt.Fprintf(c.nc, "GET /bayeux?%s HTTP/1.1\r\nHost: waft.test\r\n\r\n", q.Encode())
	default:
		_, err = fmt.Fprintf(c.nc, "POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
	return err
}

// receive gives the replies of the next response or frame; events go to onEvent.
func (c *rawClient) receive() ([]rawMessage, error) {
	var text string
	var err error
	if c.transport == websocketType {
		text, err = readServerFrame(c.in, c.nc)
	} else {
		text, err = readBody(c.in)
	}
	if err != nil {
		return nil, err
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "/**/__jsonp1__("), ");")
	return c.sort(text)
}

// sort hands the events of an array over, and returns the rest.
func (c *rawClient) sort(text string) (replies []rawMessage, err error) {
	var ms []rawMessage
	if err := json.Unmarshal([]byte(text), &ms); err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	for _, m := range ms {
		switch {
		case m.Successful != nil:
			replies = append(replies, m)
		case c.onEvent != nil:
			c.onEvent(m)
		}
	}
	return replies, nil
}

func readBody(r *bufio.Reader) (string, error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status + ": " + string(b))
	}
	return string(b), err
}

// upgrade makes the connection a WebSocket.
func (c *rawClient) upgrade() error {
	_, err := io.WriteString(c.nc, "GET /bayeux HTTP/1.1\r\nHost: waft.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(res.Status)
	}
	return nil
}

// openStream opens the EventSource, on a connection of its own.
func (c *rawClient) openStream(addr string) (err error) {
	if c.stream, err = rawDial(addr); err != nil {
		return err
	}
	c.patient()
	_, err = fmt.Fprintf(c.stream, "GET /bayeux/%s HTTP/1.1\r\nHost: waft.test\r\nAccept: text/event-stream\r\n\r\n", c.id)
	return err
}

// readStream hands over the events of the stream until it ends.
func (c *rawClient) readStream() error {
	r := bufio.NewReaderSize(c.stream, 1024)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if _, err := c.sort(data); err != nil {
				return err
			}
		}
	}
}

// clientFrame is a text frame masked with zeros. (RFC 6455 §5.2)
func clientFrame(text string) []byte {
	b := []byte{0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(len(text)))
	return append(b, text...)
}

// readServerFrame gives the text of the next text frame, and answers the pings before it: who does not is taken for dead.
func readServerFrame(r *bufio.Reader, w io.Writer) (string, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return "", err
		}
		n := uint64(head[1])
		if more := map[uint64]int{126: 2, 127: 8}[n]; more > 0 {
			var long [8]byte
			if _, err := io.ReadFull(r, long[8-more:]); err != nil {
				return "", err
			}
			n = binary.BigEndian.Uint64(long[:])
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(r, text); err != nil {
			return "", err
		}
		switch head[0] & 0xf {
		case 1:
			return string(text), nil
		case 8:
			return "", io.EOF
		case 9:
			if _, err := w.Write(append([]byte{0x8a, 0x80 | byte(n), 0, 0, 0, 0}, text...)); err != nil {
				return "", err
			}
		}
	}
}
