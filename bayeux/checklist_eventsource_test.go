package bayeux

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// 8.6 EventSource.
var streamRows = []row{
	{63, "heartbeats_are_answered_at_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			s.stream(id).line()
			heldFor(t, 0, func() {
				m := s.post(heartbeat(id, `"1"`)).with(t, `"1"`)
				ok(t, m)
				equal(t, "advice", m.Get("advice").Raw, `{"reconnect":"retry","interval":3000,"timeout":0}`)
				ms := s.post("[" + heartbeat(id, `"1"`) + "," + publish(id, `"2"`, "/a", "1") + "]")
				equal(t, "last", ms[1].Get("channel").Str, "/meta/connect")
				// On a fresh session too: the stream need not be open.
				ok(t, s.post(heartbeat(s.handshake(), `"1"`)).with(t, `"1"`))
			})
			// On a socket it is a connect like any other.
			c := s.socket()
			id = c.handshake()
			equal(t, "timeout", c.ask(heartbeat(id, `"1"`)).Get("advice.timeout").Int(), 3000)
			heldFor(t, holdTime, func() { ok(t, c.ask(heartbeat(id, `"2"`))) })
			m := s.post(heartbeat("nosuch", `"1"`)).with(t, `"1"`)
			fails(t, m, "401:nosuch:Unknown client")
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
		})
	}},
	{64, "stream_opens_at_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			for _, path := range []string{"/", "/a/b/", "/dup/"} {
				id := s.connected()
				heldFor(t, 0, func() {
					c := s.streamAt(path+id, nil)
					equal(t, "status", c.status, 200)
					equal(t, "Content-Type", c.header.Get("Content-Type"), "text/event-stream")
					equal(t, "Cache-Control", c.header.Get("Cache-Control"), "no-cache, no-store")
					equal(t, "X-Accel-Buffering", c.header.Get("X-Accel-Buffering"), "no")
					equal(t, "ends with its connection", c.close, true)
					retry, _ := strconv.Atoi(strings.TrimPrefix(c.line(), "retry: "))
					if retry < 4000 || retry >= 6000 {
						t.Error("retry", retry)
					}
					equal(t, "second line", c.line(), "")
				})
			}
			c := s.streamAt("/"+s.connected(), map[string]string{"Origin": page, "Accept": "Text/Event-Stream, */*"})
			checkCORS(t, c.header)
			equal(t, "another origin", s.streamAt("/"+s.connected(), map[string]string{"Origin": "https://evil.test"}).status, 403)
		})
	}},
	{65, "the_stream_alone_carries_events", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			s.event("/a", "0") // waits for it
			c := s.stream(id)
			equal(t, "what waited", c.event(), "0")
			heldFor(t, 0, func() {
				s.event("/a", "1")
				equal(t, "event", c.event(), "1")
			})
			for _, body := range []string{
				heartbeat(id, `"1"`), connectNow(id, `"1"`), connect(id, `"1"`) + "," + subscribe(id, `"2"`, `"/b"`), publish(id, `"3"`, "/a", "2"),
			} {
				equal(t, "events elsewhere", len(s.post("["+body+"]").events()), 0)
			}
			equal(t, "its own event", c.event(), "2")
			s.event("/a", "3")
			s.event("/a", "4")
			equal(t, "event", c.event(), "3")
			equal(t, "event", c.event(), "4")
			c.silent()
		})
	}},
	{65, "an_event_is_one_line_whatever_its_ext", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		c := s.stream(id)
		ok(t, s.post(msg("/a", "", `"1"`, "\"data\": [ 1 ],\"ext\":{\"binary\":[1,\n\n\r\"data: x\"]}")).with(t, `"1"`))
		equal(t, "data", c.event(), "[1]")
	}},
	{66, "comments_in_silence", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.stream(s.connected())
			c.line()
			c.line()
			heldFor(t, 25*time.Second, func() { equal(t, "comment", c.line(), ":") })
			equal(t, "its end", c.line(), "")
			heldFor(t, 25*time.Second, func() { equal(t, "comment", c.line(), ":") })
		})
	}},
	{67, "unknown_ids_get_nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			time.Sleep(grace + 100*time.Millisecond)
			for _, path := range []string{"", "/", "/nosuch", "/" + id, "/" + id + "/"} {
				c := s.streamAt(path, nil)
				equal(t, "status at "+path, c.status, 404)
			}
			equal(t, "streams", s.h.Stats().Streams, 0)
			equal(t, "refused", s.h.Stats().Refused[RefusedClient], 5)
			equal(t, "reconnect", s.post(heartbeat(id, `"1"`)).with(t, `"1"`).Get("advice.reconnect").Str, "handshake")
			// And a stream that was open when its session ended is over.
			id = s.connected()
			c := s.stream(id)
			ok(t, s.post(msg("/meta/disconnect", id, `"1"`, "")).with(t, `"1"`))
			c.end()
			synctest.Wait()
			equal(t, "streams", s.h.Stats().Streams, 0)
		})
	}},
	{68, "events_between_streams_come_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			c := s.stream(id)
			s.event("/a", "1")
			equal(t, "event", c.event(), "1")
			c.cut()
			synctest.Wait()
			equal(t, "streams", s.h.Stats().Streams, 0)
			s.event("/a", "2")
			ok(t, s.post(heartbeat(id, `"1"`)).with(t, `"1"`))
			time.Sleep(grace - 100*time.Millisecond)
			again := s.streamAt("/"+id, map[string]string{"Last-Event-ID": c.last})
			equal(t, "event", again.event(), "2")
			again.silent()
			again.cut()
			time.Sleep(grace + 100*time.Millisecond)
			equal(t, "sessions", s.h.Stats().Sessions, 0)
		})
	}},
	{68, "the_newest_endpoint_has_the_events", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			held := s.poll(connect(id, `"1"`))
			synctest.Wait()
			first := s.stream(id)
			equal(t, "events to the poll", len((<-held).events()), 0)
			second := s.stream(id)
			s.event("/a", "1")
			equal(t, "event", second.event(), "1")
			first.end()
			s.post(heartbeat(id, `"2"`)) // so the poll is no older than the stream
			held = s.poll(connect(id, `"3"`))
			synctest.Wait()
			s.event("/a", "2")
			equal(t, "events", strings.Join((<-held).events(), ","), "1") // nothing has shown that it arrived
			equal(t, "events", strings.Join(s.post(connect(id, `"4"`)).events(), ","), "2")
			second.end()
			third := s.stream(id)
			c := s.socket()
			ok(t, c.ask(connect(id, `"3"`)))
			s.event("/a", "3")
			equal(t, "event", c.next().Get("data").Raw, "3")
			third.end()
			synctest.Wait()
			equal(t, "streams", s.h.Stats().Streams, 0)
		})
	}},
	{94, "a_stream_without_heartbeats_ends", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.stream(s.connected())
			start := time.Now()
			c.end()
			if took := time.Since(start); took < minPatience || took > minPatience+time.Second {
				t.Errorf("after %v", took)
			}
			equal(t, "refused", s.h.Stats().Refused[RefusedSilent], 1)
			time.Sleep(grace + 100*time.Millisecond)
			equal(t, "sessions", s.h.Stats().Sessions, 0)
		})
	}},
}

func TestStream_over_HTTP2(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		web := &http.Server{Handler: s.h, Protocols: &protocols}
		go func() { _ = web.Serve(l) }()
		defer web.Close()
		s.client.Transport = &http.Transport{DialContext: l.dial, Protocols: &protocols}
		defer s.client.CloseIdleConnections()

		id := s.connected(`"/a"`)
		s.event("/a", "0")
		first := s.stream(id)
		equal(t, "protocol", first.proto, 2)
		equal(t, "what waited", first.event(), "0")
		for i := range 100 {
			s.event("/a", strconv.Itoa(i))
			equal(t, "event", first.event(), strconv.Itoa(i))
		}
		// A deadline of HTTP/2 ends the stream when it passes, whether anything is being written or not.
		for range 10 {
			time.Sleep(holdTime)
			s.post(heartbeat(id, `"1"`))
			s.event("/a", `"x"`)
			equal(t, "event", first.event(), `"x"`)
			time.Sleep(15 * time.Second)
		}
		second := s.stream(id)
		heldFor(t, 0, first.end)
		s.event("/a", `"x"`)
		equal(t, "event", second.event(), `"x"`)
		second.cut()
		synctest.Wait()
		equal(t, "streams", s.h.Stats().Streams, 0)
	})
}

func TestStream_over_TLS(t *testing.T) {
	s := newServer(t)
	web := httptest.NewTLSServer(s.h)
	defer web.Close()
	id := s.connected(`"/a"`)
	nc, err := tls.Dial("tcp", web.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /bayeux/%s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", id)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	eventually(t, func() bool { return s.h.Stats().Streams == 1 })
	for i := range 100 {
		s.event("/a", strconv.Itoa(i))
	}
	session, _ := s.b.Session(id)
	eventually(t, func() bool { return session.Pending() == 0 })
	session.Close(nil) // what was taken from the queue still arrives
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "events", strings.Count(string(text), "data: "), 100)
}

func TestStream_behind_a_handler_that_cannot_flush(t *testing.T) {
	s := newServer(t)
	id := s.connected(`"/a"`)
	w := struct{ http.ResponseWriter }{httptest.NewRecorder()} // neither Hijacker nor Flusher
	r := httptest.NewRequest(http.MethodGet, "/bayeux/"+id, nil)
	r.Header.Set("Accept", eventStream)
	s.h.ServeHTTP(w, r) // returns, instead of writing what nobody sees
	equal(t, "streams", s.h.Stats().Streams, 0)
	s.event("/a", "1")
	equal(t, "events", strings.Join(s.post(connect(id, `"1"`)).events(), ","), "1")
}

func TestStream_events_without_a_form_are_skipped(t *testing.T) {
	s := newServer(t)
	id := s.connected(`"/a"`)
	c := s.stream(id)
	for _, m := range []*broker.Message{{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": json.RawMessage(`"x"`)}}, {Channel: "/a", Data: json.RawMessage("1")}} {
		if _, err := s.b.Publish(t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "event", c.event(), "1")
}

// heartbeat is the connect of a client that listens to a stream.
func heartbeat(clientID, id string) string {
	return msg("/meta/connect", clientID, id, `"connectionType":"eventsource"`)
}

// streamClient reads a stream line by line.
type streamClient struct {
	t      testing.TB
	status int
	header http.Header
	proto  int
	close  bool
	lines  chan string // closed when the stream ends
	cancel context.CancelFunc
	last   string // the id of the last event
}

// stream opens the stream of a session.
func (s *server) stream(id string) *streamClient {
	s.t.Helper()
	c := s.streamAt("/"+id, nil)
	if c.status != http.StatusOK {
		s.t.Fatalf("status %d", c.status)
	}
	return c
}

func (s *server) streamAt(path string, header map[string]string) *streamClient {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", eventStream)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.client.Do(req) //nolint:bodyclose // it is, below
	if err != nil {
		s.t.Fatal(err)
	}
	c := &streamClient{t: s.t, status: res.StatusCode, header: res.Header, proto: res.ProtoMajor, close: res.Close, lines: make(chan string, 4096), cancel: cancel}
	go func() {
		defer close(c.lines)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			c.lines <- lines.Text()
		}
	}()
	s.t.Cleanup(c.cut)
	return c
}

// cut breaks the stream off.
func (c *streamClient) cut() {
	c.cancel()
	c.end()
}

// end waits until the stream has ended.
func (c *streamClient) end() {
	for range c.lines {
	}
}

func (c *streamClient) line() string {
	c.t.Helper()
	line, open := <-c.lines
	if !open {
		c.t.Fatal("the stream has ended")
	}
	return line
}

// event is the data of the next event, which has to be on a line of its own, with a blank one behind it.
func (c *streamClient) event() string {
	c.t.Helper()
	for {
		line := c.line()
		text, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				c.last = id
			} else if line != "" && line != ":" && !strings.HasPrefix(line, "retry: ") {
				c.t.Errorf("a line that is nothing: %q", line)
			}
			continue
		}
		equal(c.t, "line behind it", c.line(), "")
		ms := parseReply(c.t, text)
		equal(c.t, "events in a line", len(ms), 1)
		return ms[0].Get("data").Raw
	}
}

// silent fails if an event has arrived. Only in a bubble.
func (c *streamClient) silent() {
	c.t.Helper()
	synctest.Wait()
	select {
	case line, open := <-c.lines:
		c.t.Fatalf("unexpected line %q (open: %v)", line, open)
	default:
	}
}
