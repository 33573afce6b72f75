package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
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
		receive(ctx context.Context) error
		base() *publishing
	}
	if t.Body == "" {
		p = &bayeuxPublisher{publishing: publishing{target: t, answer: answer}}
	} else {
		p = &httpPublisher{publishing: publishing{target: t, answer: answer}}
	}
	p.base().line.Store(l)
	if err := p.open(ctx); err != nil {
		_ = l.Close()
		return nil, err
	}
	_ = l.SetDeadline(time.Time{})
	p.base().reading.Go(func() {
		if err := p.receive(ctx); err != nil && !p.base().isClosed() {
			answer(0, err)
		}
	})
	return p, nil
}

// publishing is what both publishers have.
type publishing struct {
	line    atomic.Pointer[line] // changed by the reading goroutine alone
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
	return p.line.Load().Write(b)
}

func (p *publishing) close() {
	_ = p.line.Load().SetDeadline(time.Unix(1, 0)) // lets go of a write that holds mu
	p.mu.Lock()
	p.closed = true
	_ = p.line.Load().Close()
	p.mu.Unlock()
	p.reading.Wait()
}

// read feeds what arrives.
func (p *publishing) read(feed func([]byte) error) error {
	in := p.line.Load().in
	for {
		if _, err := in.Peek(1); err != nil {
			return err
		}
		b, _ := in.Peek(in.Buffered())
		if err := feed(b); err != nil {
			return err
		}
		_, _ = in.Discard(len(b))
	}
}

// httpPublisher posts. Where the server ends a connection with a response (RFC 9112 §9.6), as Pushpin does each time, it goes on
// with another, and posts there what was not answered: such a server has not looked at it.
type httpPublisher struct {
	publishing
	body          []byte // of send; reused
	answeredSoFar uint64

	// guarded by mu
	unanswered [][]byte // requests
	single     bool     // one request a connection: what follows it there could make the server reset it, and its response be lost
}

func (p *httpPublisher) open(context.Context) error { return nil }

// send does not fail: the reading side sees what has become of the connection.
func (p *httpPublisher) send(_ uint64, channel string, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.line.Load()
	p.body = p.target.appendBody(p.body[:0], channel, data)
	b := make([]byte, 0, 512+len(p.body))
	b = append(b, l.head(http.MethodPost, l.at.of(channel))...)
	b = append(append(b, "Content-Type: "...), p.target.ContentType...)
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(p.body)), 10)
	b = append(append(b, "\r\n\r\n"...), p.body...)
	p.unanswered = append(p.unanswered, b)
	if !p.single || len(p.unanswered) == 1 {
		_, _ = l.Write(b)
	}
	return nil
}

// errConnectionEnds says that a response was the last of its connection.
var errConnectionEnds = errors.New("the server ends the connection")

// receive counts answers: they come in the order of the requests.
func (p *httpPublisher) receive(ctx context.Context) error {
	for {
		var r responses
		err := p.read(func(b []byte) error { return r.feed(b, p.answered) })
		if !errors.Is(err, errConnectionEnds) {
			return err
		}
		if err := p.again(ctx); err != nil {
			return err
		}
	}
}

func (p *httpPublisher) answered(h head, body []byte) error {
	p.mu.Lock()
	if len(p.unanswered) == 0 {
		p.mu.Unlock()
		return errors.New("a response without a request")
	}
	p.unanswered = p.unanswered[1:]
	p.mu.Unlock()
	var err error
	if h.status >= 300 {
		err = refusal(h.status, body)
	}
	p.answer(p.answeredSoFar, err)
	p.answeredSoFar++
	if h.closes {
		return errConnectionEnds
	}
	return nil
}

// again goes on with another connection.
func (p *httpPublisher) again(ctx context.Context) error {
	old := p.line.Load()
	_ = old.SetDeadline(time.Unix(1, 0)) // lets go of a write that holds mu
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = old.Close()
	if p.closed {
		return errClosed
	}
	l, err := dial(ctx, old.at, old.token, nil)
	if err != nil {
		return err
	}
	_ = l.SetDeadline(time.Time{})
	p.line.Store(l)
	p.single = true
	if len(p.unanswered) > 0 {
		_, err = l.Write(p.unanswered[0])
	}
	return err
}

// bayeuxPublisher publishes on a Bayeux session over WebSocket.
type bayeuxPublisher struct {
	publishing
	socket bayeuxSocket
	frame  []byte // of send; reused
}

func (p *bayeuxPublisher) open(ctx context.Context) error {
	if err := p.socket.shake(ctx, p.line.Load()); err != nil {
		return err
	}
	return p.socket.connect(p.line.Load())
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

func (p *bayeuxPublisher) receive(context.Context) error {
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
	if !mayConnect(frame) {
		return nil
	}
	return connectAgain(frame, func() error { return p.socket.connect(&p.publishing) })
}
