package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// publisher publishes on one connection, as fast as it is told and without waiting for answers (HTTP/1.1 pipelining,
// or Bayeux messages with ids), so that what it publishes stays in order.
type publisher interface {
	// send publishes data, as its serial-th. It blocks while the server does not read.
	send(serial uint64, channel string, data []byte) error
	close()
}

// answered is called when a server has answered the serial-th publish, from one goroutine; and once with an error when
// there will be no further answers, unless close was called before.
type answered func(serial uint64, err error)

// newPublisher connects.
func newPublisher(ctx context.Context, t Target, token string, answer answered) (publisher, error) {
	l, err := dial(ctx, locate(t.Publish), token, nil)
	if err != nil {
		return nil, err
	}
	var p interface {
		publisher
		open(ctx context.Context) error
		receive() error
		base() *publishing
	}
	if t.Body == "" {
		p = &bayeuxPublisher{publishing: publishing{line: l, target: t, answer: answer}}
	} else {
		p = &httpPublisher{publishing: publishing{line: l, target: t, answer: answer}}
	}
	if err := p.open(ctx); err != nil {
		_ = l.Close()
		return nil, err
	}
	_ = l.SetDeadline(time.Time{})
	p.base().reading.Go(func() {
		if err := p.receive(); err != nil && !p.base().isClosed() {
			answer(0, err)
		}
	})
	return p, nil
}

// publishing is what both publishers have.
type publishing struct {
	line    *line
	target  Target
	answer  answered
	reading sync.WaitGroup

	mu     sync.Mutex // writes are whole
	closed bool
}

func (p *publishing) base() *publishing { return p }

func (p *publishing) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *publishing) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line.Write(b)
}

func (p *publishing) close() {
	_ = p.line.SetDeadline(time.Unix(1, 0)) // lets go of a write that holds mu
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.line.Close()
	p.reading.Wait()
}

// read feeds what arrives.
func (p *publishing) read(feed func([]byte) error) error {
	for {
		if _, err := p.line.in.Peek(1); err != nil {
			return err
		}
		b, _ := p.line.in.Peek(p.line.in.Buffered())
		if err := feed(b); err != nil {
			return err
		}
		_, _ = p.line.in.Discard(len(b))
	}
}

// httpPublisher posts.
type httpPublisher struct {
	publishing
	request, body []byte // of send; reused
	responses     responses
	answeredSoFar uint64
}

func (p *httpPublisher) open(context.Context) error { return nil }

func (p *httpPublisher) send(_ uint64, channel string, data []byte) error {
	p.body = p.target.appendBody(p.body[:0], channel, data)
	b := append(p.request[:0], p.line.head(http.MethodPost, p.line.at.of(channel))...)
	b = append(append(b, "Content-Type: "...), p.target.ContentType...)
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(p.body)), 10)
	p.request = append(append(b, "\r\n\r\n"...), p.body...)
	_, err := p.Write(p.request)
	return err
}

// receive counts answers: they come in the order of the requests.
func (p *httpPublisher) receive() error {
	return p.read(func(b []byte) error {
		return p.responses.feed(b, func(h head, body []byte) error {
			var err error
			if h.status >= 300 {
				err = refusal(h.status, body)
			}
			p.answer(p.answeredSoFar, err)
			p.answeredSoFar++
			if h.closes {
				return errClosed
			}
			return nil
		})
	})
}

// bayeuxPublisher publishes on a Bayeux session over WebSocket.
type bayeuxPublisher struct {
	publishing
	socket bayeuxSocket
	frame  []byte // of send; reused
}

func (p *bayeuxPublisher) open(ctx context.Context) error {
	if err := p.socket.shake(ctx, p.line); err != nil {
		return err
	}
	return p.socket.connect(p.line)
}

func (p *bayeuxPublisher) send(serial uint64, channel string, data []byte) error {
	b := append(p.frame[:0], `[{"channel":`...)
	b = strconv.AppendQuote(b, channel)
	b = strconv.AppendQuote(append(b, `,"clientId":`...), p.socket.client)
	b = strconv.AppendUint(append(b, `,"id":"m`...), serial, 10)
	b = append(append(append(b, `","data":`...), data...), `}]`...)
	p.frame = b
	_, err := p.Write(appendFrame(nil, opText, b))
	return err
}

func (p *bayeuxPublisher) receive() error {
	return p.read(func(b []byte) error {
		return p.socket.frames.feed(b, p.replies, func(op byte, payload []byte) error { return control(op, payload, &p.publishing) })
	})
}

// replies finds the replies to publishes among the messages of a frame.
func (p *bayeuxPublisher) replies(frame []byte) error {
	var all []reply
	if err := json.Unmarshal(frame, &all); err != nil {
		return fmt.Errorf("the server sent what is not Bayeux: %w", err)
	}
	for i := range all {
		r := &all[i]
		var id string
		if r.Successful == nil || json.Unmarshal(r.ID, &id) != nil || len(id) < 2 || id[0] != 'm' {
			continue
		}
		serial, err := strconv.ParseUint(id[1:], 10, 64)
		if err != nil {
			continue
		}
		if !*r.Successful {
			err = &refusedError{"the server refused to publish: " + r.Error}
		}
		p.answer(serial, err)
	}
	return connectAgain(frame, func() error { return p.socket.connect(&p.publishing) })
}
