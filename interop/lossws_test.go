//go:build interop

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"waft/interop/loss"
)

// Publishers and readers of the loss checker over plain WebSockets, as docs/websocket.md says how to come back.

// frameConn is a plain WebSocket.
type frameConn struct {
	net.Conn
	in *bufio.Reader
}

// frame has the members of all types that the loss checker reads.
type frame struct {
	Type     string
	Ref      int
	Channel  string
	ID       string
	Position string
	Place    string
	Resumed  bool
	Data     json.RawMessage
	Code     string
}

func dialFrames(addr string) (*frameConn, error) {
	nc, err := rawDial(addr)
	if err != nil {
		return nil, err
	}
	c := &frameConn{Conn: nc, in: bufio.NewReader(nc)}
	c.SetDeadline(time.Now().Add(clientPatience))
	_, err = io.WriteString(c, "GET /realm/default/ws HTTP/1.1\r\nHost: waft.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: waft.v1\r\n\r\n")
	if err == nil {
		var res *http.Response
		if res, err = http.ReadResponse(c.in, nil); err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusSwitchingProtocols {
				err = errors.New(res.Status)
			}
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *frameConn) send(members map[string]any) error {
	text, err := json.Marshal(members)
	if err == nil {
		_, err = c.Write(clientFrame(string(text)))
	}
	return err
}

func (c *frameConn) receive() (f frame, err error) {
	c.SetDeadline(time.Now().Add(clientPatience))
	text, err := readServerFrame(c.in, c)
	if err == nil {
		err = json.Unmarshal([]byte(text), &f)
	}
	return f, err
}

var webSocketLossReaders = []lossReader{
	{name: "WebSocket", follow: readFrames(lossChannels...)},
	{name: "WebSocket wildcard", follow: readFrames("/loss/*")},
}

// readFrames subscribes behind the place, which is that of the subscription, and what came of each channel after it.
func readFrames(patterns ...string) func(context.Context, *lossReading) error {
	return func(ctx context.Context, l *lossReading) error {
		c, err := dialFrames(l.reading.addr)
		if err != nil {
			return err
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		subscribe := map[string]any{"type": "subscribe", "ref": 1, "channels": patterns}
		resumes := l.place[""] != ""
		if resumes {
			seen := map[string]string{}
			for _, channel := range l.channels {
				if at := l.place[channel]; at != "" {
					seen[channel] = at
				}
			}
			subscribe["since"], subscribe["seen"] = l.place[""], seen
		}
		if err := c.send(subscribe); err != nil {
			return err
		}
		for !l.Ended() {
			f, err := c.receive()
			if err != nil {
				return err
			}
			switch f.Type {
			case "message":
				l.took(f.Channel, f.ID, f.Data)
				l.place[f.Channel] = f.Position
				continue
			case "subscribed":
				if resumes && !f.Resumed {
					l.Told("subscribed, not resumed")
				}
				l.began()
			case "place":
			case "lost":
				l.Told("lost")
			default:
				return fmt.Errorf("%s %s", f.Type, f.Code)
			}
			clear(l.place)
			l.place[""] = f.Place
		}
		return nil
	}
}

// webSocketPublishers publish again with the same id until they have an answer.
var webSocketPublishers = []lossPublisher{{"websocket", "WebSocket", func(s *lossSource) {
	var c *frameConn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	s.each(func(channel string) {
		k := s.next(channel)
		for began := time.Now(); time.Since(began) < givesUp; time.Sleep(100 * time.Millisecond) {
			var err error
			if c == nil {
				c, err = dialFrames(s.publishing.addr)
			}
			if err == nil {
				err = c.publish(k)
			}
			if err == nil {
				s.ledger.Acknowledge(k)
				return
			}
			s.notes.add(s.name, err)
			if c != nil && !errors.Is(err, errRefused) {
				c.Close()
				c = nil
			}
		}
	})
}}}

func (c *frameConn) publish(k loss.Key) error {
	c.SetDeadline(time.Now().Add(clientPatience))
	err := c.send(map[string]any{"type": "publish", "ref": k.N, "channel": k.Channel, "id": lossID(k), "data": json.RawMessage(lossText(k))})
	for err == nil {
		var f frame
		switch f, err = c.receive(); {
		case err != nil || f.Ref != k.N:
		case f.Type == "published":
			return nil
		default:
			return fmt.Errorf("%w: %s %s", errRefused, f.Type, strconv.Quote(f.Code))
		}
	}
	return err
}
