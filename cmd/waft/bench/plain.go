package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
)

// plainSocket gets messages over waft's own WebSockets, as frames of JSON. docs/websocket.md is their page.
type plainSocket struct {
	frames     frames
	subscribed bool

	// Where the address has a window, each half of it is acknowledged.
	half    int    // messages; 0: there is none
	ack     string // the beginning of what acknowledges
	unacked int
	newest  []byte // position of the last of them
}

func (s *plainSocket) open(_ context.Context, l *line, channel string) error {
	path := l.at.of(channel)
	if u, err := url.Parse(path); err == nil && u.Query().Has("window") {
		window, _ := strconv.Atoi(u.Query().Get("window")) // the server says what is wrong with it
		s.half = (max(window, 1) + 1) / 2
		s.ack = `{"type":"ack","positions":{"` + channel + `":"`
	}
	if err := l.upgrade(path, Plain); err != nil {
		return err
	}
	if err := s.send(l, `{"type":"subscribe","ref":1,"channel":"`+channel+`"}`); err != nil {
		return err
	}
	for !s.subscribed { // and not a byte more: what comes behind the answer are messages
		c, err := l.in.ReadByte()
		if err != nil {
			return fmt.Errorf("waiting for the answer to subscribe: %w", err)
		}
		if err := s.feed([]byte{c}, l, func(stamp) {}); err != nil {
			return err
		}
	}
	return nil
}

func (s *plainSocket) send(out io.Writer, text string) error {
	_, err := out.Write(appendFrame(nil, opText, []byte(text)))
	return err
}

func (s *plainSocket) feed(b []byte, out io.Writer, see func(stamp)) error {
	err := s.frames.feed(b, func(frame []byte) error {
		return s.frame(frame, see)
	}, func(op byte, payload []byte) error { return control(op, payload, out) })
	if err != nil || s.half == 0 || s.unacked < s.half {
		return err
	}
	s.unacked = 0
	return s.send(out, s.ack+string(s.newest)+`"}}`)
}

// The beginning of nearly every frame; a member of it.
var (
	plainMessage  = []byte(`{"type":"message",`)
	plainPosition = []byte(`"position":"`)
)

func (s *plainSocket) frame(frame []byte, see func(stamp)) error {
	if bytes.HasPrefix(frame, plainMessage) {
		s.message(frame, see)
		return nil
	}
	var f struct{ Type, Code, Message string }
	if err := json.Unmarshal(frame, &f); err != nil {
		return fmt.Errorf("the server sent what is not %s: %w", Plain, err)
	}
	switch f.Type {
	case "message":
		s.message(frame, see)
	case "subscribed":
		s.subscribed = true
	case "unsubscribed":
		return fmt.Errorf("the server ended the subscription: %s: %s", f.Code, f.Message)
	case "error":
		return fmt.Errorf("the server refused: %s: %s", f.Code, f.Message)
	}
	return nil
}

func (s *plainSocket) message(frame []byte, see func(stamp)) {
	eachStamp(frame, see)
	if s.half == 0 {
		return
	}
	if _, position, ok := bytes.Cut(frame, plainPosition); ok {
		s.unacked++
		s.newest = append(s.newest[:0], position[:max(0, bytes.IndexByte(position, '"'))]...)
	}
}
