package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// protocol is one subscriber's way to its messages. It is a machine that is fed with bytes, so that thousands need
// neither a goroutine nor a buffer each.
type protocol interface {
	// open subscribes to channel on a fresh connection, and blocks until the server has said that it is done.
	open(ctx context.Context, l *line, channel string) error
	// feed takes what has arrived, calls see for every message in it, and writes to out what the server waits for.
	feed(b []byte, out io.Writer, see func(stamp)) error
}

// newProtocol makes a subscriber of the transport, which check has found good.
func newProtocol(transport string) protocol {
	switch transport {
	case WebSocket:
		return &bayeuxSocket{}
	case LongPolling:
		return &bayeuxPoll{}
	case Events:
		return &eventStream{}
	case Plain:
		return &plainSocket{}
	case Raw:
		return &rawSocket{}
	default:
		return &plainPoll{}
	}
}

// rawSocket gets messages as frames.
type rawSocket struct{ frames frames }

func (s *rawSocket) open(_ context.Context, l *line, channel string) error {
	return l.upgrade(l.at.of(channel), "")
}

func (s *rawSocket) feed(b []byte, out io.Writer, see func(stamp)) error {
	return s.frames.feed(b, func(message []byte) error {
		eachStamp(message, see)
		return nil
	}, func(op byte, payload []byte) error { return control(op, payload, out) })
}

// control answers a control frame.
func control(op byte, payload []byte, out io.Writer) error {
	switch op {
	case opPing:
		_, err := out.Write(appendFrame(nil, opPong, payload))
		return err
	case opClose:
		if len(payload) >= 2 {
			return fmt.Errorf("%w: %d %s", errClosed, int(payload[0])<<8|int(payload[1]), payload[2:])
		}
		return errClosed
	}
	return nil
}

// eventStream gets messages as Server-Sent Events. A stamp is never broken over lines, so each line is looked at by
// itself.
type eventStream struct {
	chunked bool
	chunks  chunks
	rest    []byte // of the coding
	line    []byte // of the text: a line that is not whole
}

func (s *eventStream) open(_ context.Context, l *line, channel string) error {
	if _, err := l.Write([]byte(l.head(http.MethodGet, l.at.of(channel)) + "Accept: text/event-stream\r\n\r\n")); err != nil {
		return err
	}
	h, err := l.readHead()
	if err != nil {
		return fmt.Errorf("asking for events: %w", err)
	}
	if h.status != http.StatusOK {
		b, _ := l.in.Peek(max(1, l.in.Buffered()))
		return refusal(h.status, b)
	}
	if !bytes.HasPrefix([]byte(h.contentType), []byte("text/event-stream")) {
		return fmt.Errorf("asking for events: the server sends %q", h.contentType)
	}
	s.chunked = h.chunked
	return nil
}

// readHead reads the head of a response, and not a byte more.
func (l *line) readHead() (head, error) {
	var b []byte
	for {
		text, err := l.in.ReadSlice('\n')
		b = append(b, text...)
		if err != nil {
			return head{}, err
		}
		if h, size, err := parseHead(b); err != nil || size > 0 {
			return h, err
		}
	}
}

func (s *eventStream) feed(b []byte, _ io.Writer, see func(stamp)) error {
	if !s.chunked {
		s.text(b, see)
		return nil
	}
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	before := len(s.line)
	text, used, err := s.chunks.decode(s.line, b)
	if err != nil {
		return err
	}
	s.rest = append(s.rest[:0], b[used:]...)
	s.line = text[:before]
	s.text(text[before:], see)
	if s.chunks.ended {
		return errClosed
	}
	return nil
}

// text takes the stream itself, piece by piece.
func (s *eventStream) text(b []byte, see func(stamp)) {
	s.line = append(s.line, b...)
	end := bytes.LastIndexByte(s.line, '\n') + 1
	eachStamp(s.line[:end], see)
	s.line = append(s.line[:0], s.line[end:]...)
}

// plainPoll gets each message as the response to a GET.
type plainPoll struct {
	responses responses
	request   string // without the fields that say where to go on
}

func (p *plainPoll) open(_ context.Context, l *line, channel string) error {
	p.request = l.head(http.MethodGet, l.at.of(channel))
	_, err := l.Write([]byte(p.request + "\r\n"))
	return err
}

func (p *plainPoll) feed(b []byte, out io.Writer, see func(stamp)) error {
	return p.responses.feed(b, func(h head, body []byte) error {
		if h.status >= 400 && h.status != http.StatusRequestTimeout {
			return refusal(h.status, body)
		}
		eachStamp(body, see)
		if h.closes {
			return errClosed
		}
		next := p.request
		if h.etag != "" {
			next += "If-None-Match: " + h.etag + "\r\n"
		}
		if h.modified != "" {
			next += "If-Modified-Since: " + h.modified + "\r\n"
		}
		_, err := io.WriteString(out, next+"\r\n")
		return err
	})
}

// reply is what a Bayeux server says about a message of ours.
type reply struct {
	Channel    string          `json:"channel"`
	ID         json.RawMessage `json:"id"` // text, or a number
	ClientID   string          `json:"clientId"`
	Successful *bool           `json:"successful"`
	Error      string          `json:"error"`
	Advice     *struct {
		Interval int `json:"interval"` // milliseconds
	} `json:"advice"`
}

// ok tells whether a reply says that it worked.
func (r *reply) ok() bool { return r.Successful != nil && *r.Successful }

// replyTo finds the reply on a channel among messages.
func replyTo(channel string, messages []byte) (*reply, error) {
	var all []reply
	if err := json.Unmarshal(messages, &all); err != nil {
		return nil, fmt.Errorf("the server sent what is not Bayeux: %w", err)
	}
	for i := range all {
		if all[i].Channel == channel && all[i].Successful != nil {
			return &all[i], nil
		}
	}
	return nil, nil
}

var metaConnect = []byte(`"/meta/connect"`)

// mayConnect is false if there is no connect reply among messages: of most frames that is all there is to know.
func mayConnect(messages []byte) bool { return bytes.Contains(messages, metaConnect) }

// connectAgain answers a connect reply among messages, if there is one, with the next connect: at once, or when the
// server wants it.
func connectAgain(messages []byte, next func() error) error {
	r, err := replyTo("/meta/connect", messages)
	if err != nil || r == nil {
		return err
	}
	if !r.ok() {
		return fmt.Errorf("the server refused the connection: %s", r.Error)
	}
	if r.Advice != nil && r.Advice.Interval > 0 {
		time.AfterFunc(time.Duration(r.Advice.Interval)*time.Millisecond, func() { _ = next() })
		return nil
	}
	return next()
}

// usualReply is how a client's answers end that say no more than to connect again: but for its events, one is like the other,
// and to read each as JSON would be a quarter of what a client costs.
type usualReply []byte

const maxLooked = 3

// ends tells whether messages end so.
func (u usualReply) ends(messages []byte) bool {
	before := len(messages) - len(u) - 1
	return len(u) > 0 && before >= 0 && bytes.HasSuffix(messages, u) && (messages[before] == '[' || messages[before] == ',')
}

// usual is how messages end, if their last is a reply that says to connect again at once.
func usual(messages []byte) usualReply {
	var all []json.RawMessage
	if json.Unmarshal(messages, &all) != nil || len(all) == 0 {
		return nil
	}
	last := all[len(all)-1]
	r, err := replyTo("/meta/connect", slices.Concat([]byte("["), last, []byte("]")))
	if err != nil || r == nil || !r.ok() || r.Advice != nil && r.Advice.Interval > 0 {
		return nil
	}
	return append(slices.Clone(usualReply(last)), ']')
}

// The messages of a Bayeux subscriber.
func handshakeText(connection, token string) string {
	ext := ""
	if token != "" {
		ext = `,"ext":{"token":` + strconv.Quote(token) + `}`
	}
	return `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["` + connection + `"],"id":"1"` + ext + `}]`
}

func connectText(connection, client string) string {
	return `[{"channel":"/meta/connect","clientId":` + strconv.Quote(client) + `,"connectionType":"` + connection + `","id":"3"}]`
}

func subscribeText(client, channel string) string {
	return `[{"channel":"/meta/subscribe","clientId":` + strconv.Quote(client) + `,"subscription":"` + channel + `","id":"2"}]`
}

// bayeuxSocket is Bayeux over WebSocket.
type bayeuxSocket struct {
	frames frames
	client string // its id
}

func (s *bayeuxSocket) open(ctx context.Context, l *line, channel string) error {
	if err := s.shake(ctx, l); err != nil {
		return err
	}
	if _, err := s.call(l, "/meta/subscribe", subscribeText(s.client, channel)); err != nil {
		return err
	}
	return s.connect(l)
}

// shake gets a session.
func (s *bayeuxSocket) shake(_ context.Context, l *line) error {
	if err := l.upgrade(l.at.path, ""); err != nil {
		return err
	}
	r, err := s.call(l, "/meta/handshake", handshakeText(WebSocket, l.token))
	if err == nil {
		s.client = r.ClientID
	}
	return err
}

func (s *bayeuxSocket) connect(out io.Writer) error {
	return s.send(out, connectText(WebSocket, s.client))
}

func (s *bayeuxSocket) send(out io.Writer, text string) error {
	_, err := out.Write(appendFrame(nil, opText, []byte(text)))
	return err
}

// call sends text and waits for the reply on channel. Nothing else is expected before the first connect.
func (s *bayeuxSocket) call(l *line, channel, text string) (r *reply, err error) {
	if err := s.send(l, text); err != nil {
		return nil, err
	}
	for r == nil {
		if _, err := l.in.Peek(1); err != nil {
			return nil, fmt.Errorf("waiting for the reply to %s: %w", channel, err)
		}
		b := l.leftover()
		_, _ = l.in.Discard(len(b))
		err := s.frames.feed(b, func(message []byte) error {
			if r == nil {
				r, err = replyTo(channel, message)
			}
			return err
		}, func(op byte, payload []byte) error { return control(op, payload, l) })
		if err != nil {
			return nil, err
		}
	}
	return r, succeeded(channel, r)
}

func succeeded(channel string, r *reply) error {
	if !r.ok() {
		return fmt.Errorf("the server refused %s: %s", channel, r.Error)
	}
	return nil
}

func (s *bayeuxSocket) feed(b []byte, out io.Writer, see func(stamp)) error {
	return s.frames.feed(b, func(message []byte) error {
		eachStamp(message, see)
		if !mayConnect(message) {
			return nil
		}
		return connectAgain(message, func() error { return s.connect(out) })
	}, func(op byte, payload []byte) error { return control(op, payload, out) })
}

// bayeuxPoll is Bayeux over long-polling, on one connection: what its session has to say waits while a connect is held,
// and a subscriber has nothing to say.
type bayeuxPoll struct {
	responses responses
	cookies   []string // that the server has set, which CometD knows a session by
	request   []byte   // the connect
	usual     usualReply
	looked    int // how often for that
}

func (p *bayeuxPoll) open(_ context.Context, l *line, channel string) error {
	r, err := p.call(l, "/meta/handshake", handshakeText(LongPolling, l.token))
	if err != nil {
		return err
	}
	if _, err := p.call(l, "/meta/subscribe", subscribeText(r.ClientID, channel)); err != nil {
		return err
	}
	p.request = p.post(l, connectText(LongPolling, r.ClientID))
	_, err = l.Write(p.request)
	return err
}

func (p *bayeuxPoll) post(l *line, text string) []byte {
	cookies := ""
	if len(p.cookies) > 0 {
		cookies = "Cookie: " + strings.Join(p.cookies, "; ") + "\r\n"
	}
	return []byte(l.head(http.MethodPost, l.at.path) + cookies + "Content-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(text)) + "\r\n\r\n" + text)
}

func (p *bayeuxPoll) call(l *line, channel, text string) (*reply, error) {
	if _, err := l.Write(p.post(l, text)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return nil, fmt.Errorf("waiting for the reply to %s: %w", channel, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, refused(resp)
	}
	for _, c := range resp.Cookies() {
		p.cookies = append(p.cookies, c.Name+"="+c.Value)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the reply to %s: %w", channel, err)
	}
	r, err := replyTo(channel, body)
	if err == nil && r == nil {
		err = errors.New("there is no reply to " + channel)
	}
	if err != nil {
		return nil, err
	}
	return r, succeeded(channel, r)
}

func (p *bayeuxPoll) feed(b []byte, out io.Writer, see func(stamp)) error {
	return p.responses.feed(b, func(h head, body []byte) error {
		if h.status != http.StatusOK {
			return refusal(h.status, body)
		}
		eachStamp(body, see)
		if h.closes {
			return errClosed
		}
		again := func() error {
			_, err := out.Write(p.request)
			return err
		}
		switch {
		case p.usual.ends(body):
			return again()
		case !mayConnect(body):
			return nil
		}
		if p.looked < maxLooked { // a server's answers may all be different
			p.looked++
			p.usual = usual(body)
		}
		return connectAgain(body, again)
	})
}
