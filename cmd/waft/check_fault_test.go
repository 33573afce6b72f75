package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// breakage is what a broken server does. The zero breakage is none.
type breakage struct {
	protocol string // the only one that is broken; "": all are

	// events makes, for each protocol, what does to the events that a server delivers what the fault is: one in, those to deliver
	// instead out. nil: they are delivered.
	events func() func(event string) []string

	// token is what the server sees in place of a token ("" is none); nil: the token itself.
	token func(token string) string

	// answer, if not nil, is asked about publish requests first, and answers those that it does not want forwarded.
	answer func(w http.ResponseWriter, r *http.Request, forward func(*http.Request, http.ResponseWriter)) (done bool)
}

// brokenServer stands in front of a server that works, as a proxy, and breaks it.
type brokenServer struct {
	t      *testing.T
	behind *url.URL
	faults breakage

	mu     sync.Mutex // guards the rest, and is held while events are changed
	change map[string]func(string) []string
}

// broken gives the address of the server at behind, broken.
func broken(t *testing.T, behind string, f breakage) string {
	t.Helper()
	to, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	b := &brokenServer{t: t, behind: to, faults: f, change: map[string]func(string) []string{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return server.URL
}

// protocolOf is which of a check's protocols a request belongs to.
func protocolOf(r *http.Request) string {
	switch path := r.URL.Path; {
	case strings.Contains(path, "/publish"):
		return "http"
	case websocket.IsWebSocketUpgrade(r) && strings.HasSuffix(path, "/ws"):
		return "websocket"
	case websocket.IsWebSocketUpgrade(r):
		return "bayeux-websocket"
	case strings.HasSuffix(path, "/bayeux"):
		return "bayeux-polling"
	case strings.HasSuffix(path, "/events"):
		return "events"
	default:
		return "messages"
	}
}

func (b *brokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protocol := protocolOf(r)
	hit := b.faults.protocol == "" || b.faults.protocol == protocol
	if hit {
		b.exchangeToken(r)
	}
	switch {
	case strings.HasSuffix(protocol, "websocket"):
		b.socket(w, r, protocol, hit)
	case protocol == "http" && hit && b.faults.answer != nil && b.faults.answer(w, r, b.forward):
	default:
		b.forward(r, w)
	}
}

func (b *brokenServer) forward(r *http.Request, w http.ResponseWriter) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	(&httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(b.behind) },
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: b.changeResponse,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}).ServeHTTP(w, r)
}

// exchangeToken puts another token in place of the request's.
func (b *brokenServer) exchangeToken(r *http.Request) {
	if b.faults.token == nil {
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	r.Header.Del("Authorization")
	if instead := b.faults.token(token); instead != "" {
		r.Header.Set("Authorization", "Bearer "+instead)
	}
}

// changed is what is delivered in place of an event.
func (b *brokenServer) changed(protocol, event string) []string {
	if b.faults.events == nil || b.faults.protocol != "" && b.faults.protocol != protocol {
		return []string{event}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.change[protocol] == nil {
		b.change[protocol] = b.faults.events()
	}
	return b.change[protocol](event)
}

// changedList is an array of events, or of Bayeux messages, of which those of the protocol itself stay as they are.
func (b *brokenServer) changedList(protocol string, list []json.RawMessage) []json.RawMessage {
	out := []json.RawMessage{}
	for _, one := range list {
		if strings.Contains(string(one), `"channel":"/meta/`) {
			out = append(out, one)
			continue
		}
		for _, instead := range b.changed(protocol, string(one)) {
			out = append(out, json.RawMessage(instead))
		}
	}
	return out
}

func (b *brokenServer) changeResponse(response *http.Response) error {
	protocol := protocolOf(response.Request)
	if response.StatusCode != http.StatusOK || protocol == "http" {
		return nil
	}
	if protocol == "events" {
		from := response.Body
		reader, writer := io.Pipe()
		response.Body = struct {
			io.Reader
			io.Closer
		}{reader, closers{from, reader}}
		go b.changeStream(from, writer)
		return nil
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if text, err = b.changedAnswer(protocol, text); err != nil {
		b.t.Errorf("%s answered %s: %v", protocol, text, err)
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	response.Header.Del("Content-Length")
	return nil
}

func (b *brokenServer) changedAnswer(protocol string, text []byte) ([]byte, error) {
	var list []json.RawMessage
	if protocol == "bayeux-polling" {
		if err := json.Unmarshal(text, &list); err != nil {
			return text, err
		}
		return marshal(b.changedList(protocol, list))
	}
	var page map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &page), json.Unmarshal(page["messages"], &list)); err != nil {
		return text, err
	}
	changed, err := marshal(b.changedList(protocol, list))
	if err != nil {
		return text, err
	}
	page["messages"] = changed
	return marshal(page)
}

// marshal writes JSON without escaping more than it must.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return out.Bytes(), err
}

// changeStream copies an event stream, event by event.
func (b *brokenServer) changeStream(from io.Reader, to *io.PipeWriter) {
	var rest []byte
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		rest = append(rest, buffer[:n]...)
		for {
			block, after, ok := strings.Cut(string(rest), "\n\n")
			if !ok {
				break
			}
			rest = []byte(after)
			blocks := []string{block}
			if strings.Contains(block, "data: ") && !strings.Contains(block, "event: ") {
				blocks = b.changed("events", block)
			}
			for _, one := range blocks {
				if _, err := io.WriteString(to, one+"\n\n"); err != nil {
					return
				}
			}
		}
		if err != nil {
			to.CloseWithError(err)
			return
		}
	}
}

// socket copies the frames of a WebSocket.
func (b *brokenServer) socket(w http.ResponseWriter, r *http.Request, protocol string, hit bool) {
	to := b.behind.JoinPath(r.URL.Path)
	to.Scheme = webSocketScheme(to.Scheme)
	header := http.Header{}
	if credential := r.Header.Get("Authorization"); credential != "" {
		header.Set("Authorization", credential)
	}
	speaks := websocket.Subprotocols(r)
	dialer := websocket.Dialer{Subprotocols: speaks}
	server, response, err := dialer.DialContext(r.Context(), to.String(), header)
	if response != nil {
		defer response.Body.Close()
	}
	if err != nil {
		status := http.StatusBadGateway
		if response != nil {
			status = response.StatusCode
		}
		w.WriteHeader(status)
		return
	}
	defer server.Close()
	client, err := (&websocket.Upgrader{Subprotocols: speaks}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer client.Close()
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		for {
			_, frame, err := client.ReadMessage()
			if err != nil {
				return
			}
			if hit && b.faults.token != nil {
				frame = b.exchangeFrame(protocol, frame)
			}
			if server.WriteMessage(websocket.TextMessage, frame) != nil {
				return
			}
		}
	})
	for {
		_, frame, err := server.ReadMessage()
		if err != nil {
			break
		}
		for _, out := range b.changedFrame(protocol, frame) {
			_ = client.WriteMessage(websocket.TextMessage, out) // one that has gone sends no more, which ends the server's
		}
	}
	_ = client.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	client.Close()
	both.Wait()
}

// changedFrame is what is sent in place of a frame of the server's.
func (b *brokenServer) changedFrame(protocol string, frame []byte) (out [][]byte) {
	if protocol == "websocket" {
		if !bytes.Contains(frame, []byte(`"type":"message"`)) {
			return [][]byte{frame}
		}
		for _, one := range b.changed(protocol, string(frame)) {
			out = append(out, []byte(one))
		}
		return out
	}
	var list []json.RawMessage
	if err := json.Unmarshal(frame, &list); err != nil {
		b.t.Errorf("the server sent %s: %v", frame, err)
	}
	if list = b.changedList(protocol, list); len(list) == 0 {
		return nil
	}
	text, _ := marshal(list)
	return [][]byte{text}
}

// exchangeFrame puts another token in place of that of a handshake, or of an auth frame.
func (b *brokenServer) exchangeFrame(protocol string, frame []byte) []byte {
	if protocol == "websocket" {
		var m map[string]any
		if json.Unmarshal(frame, &m) != nil || m["type"] != "auth" {
			return frame
		}
		token, _ := m["token"].(string)
		m["token"] = b.faults.token(token)
		out, _ := marshal(m)
		return out
	}
	var list []map[string]any
	if json.Unmarshal(frame, &list) != nil {
		return frame
	}
	for _, m := range list {
		if m["channel"] != "/meta/handshake" {
			continue
		}
		ext, _ := m["ext"].(map[string]any)
		token, _ := ext["token"].(string)
		delete(m, "ext")
		if instead := b.faults.token(token); instead != "" {
			m["ext"] = map[string]any{"token": instead}
		}
	}
	out, _ := marshal(list)
	return out
}

type closers []io.Closer

func (c closers) Close() error {
	for _, one := range c {
		_ = one.Close()
	}
	return nil
}

// kindOfToken tells a check's tokens apart, by the names that its report has; "" is the good one.
func kindOfToken(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return noToken
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Issuer  string `json:"iss"`
		Expires int64  `json:"exp"`
	}
	_ = json.Unmarshal(payload, &claims)
	end := parts[2][len(parts[2])-12 : len(parts[2])-4]
	switch {
	case strings.Trim(end, "xy") == "":
		return forgedToken
	case claims.Issuer != defaultRealm:
		return otherToken
	case claims.Expires < time.Now().Unix():
		return expiredToken
	default:
		return ""
	}
}
