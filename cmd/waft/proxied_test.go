package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// Connections behind a PROXY header, and those on which there were other requests before, go the way of any other. Here all of them are spoken by
// hand, so that the client has no goroutines.

// raw is a connection of a client.
type raw struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

// dial connects from one of the addresses of this machine: from 127.0.0.2 as the trusted proxy.
func (r *running) dial(t *testing.T, from string) *raw {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.DialContext(t.Context(), "tcp", r.public.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute)) // what does not come is a failure
	return &raw{t, nc, bufio.NewReaderSize(nc, 256)}
}

const theProxy = "127.0.0.2"

func (c *raw) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, text); err != nil {
		c.t.Fatal(err)
	}
}

// hears reads up to the end of a text.
func (c *raw) hears(text string) {
	c.t.Helper()
	var heard strings.Builder
	for !strings.HasSuffix(heard.String(), text) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("waiting for %s after %s: %v", text, heard.String(), err)
		}
		heard.WriteByte(b)
	}
}

// asks sends a request and reads its answer.
func (c *raw) asks(request string) (answer string) {
	c.t.Helper()
	c.say(request)
	return c.answer()
}

func (c *raw) answer() string {
	c.t.Helper()
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func posted(messages string) string {
	return fmt.Sprintf("POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(messages), messages)
}

func connectOver(id, transport string) string {
	return fmt.Sprintf(`[{"channel":"/meta/connect","clientId":%q,"connectionType":%q,"id":"c"}]`, id, transport)
}

func poll(id string) string { return posted(connectOver(id, "long-polling")) }

// session makes a session that is subscribed and has had its first connect.
func (c *raw) session() (id string) {
	c.t.Helper()
	_, rest, _ := strings.Cut(c.asks(posted(`[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"h"}]`)), `"clientId":"`)
	id, _, _ = strings.Cut(rest, `"`)
	for _, message := range []string{fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":%q,"subscription":"/a","id":"s"}]`, id), connectOver(id, "long-polling")} {
		if answer := c.asks(posted(message)); !strings.Contains(answer, `"successful":true`) {
			c.t.Fatalf("%s is answered %s", message, answer)
		}
	}
	return id
}

// frame is a client's.
func frame(text string) string {
	b := wsframe.AppendHeader(nil, wsframe.Text, len(text))
	b[1] |= 0x80
	return string(append(append(b, 0, 0, 0, 0), text...))
}

const upgrade = " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// nothing is a request that no door of a realm is asked for.
const nothing = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"

// door is a way to wait for messages.
type door struct {
	name  string
	first func(id string) string // the request that opens it, for a session
	until string                 // what says that it is open; "": nothing
	then  func(id string) string // what the client says then
	well  string                 // how that is answered
	count func(*realm) int       // of those that wait
}

func none(string) string { return "" }

var waits = []door{
	{"a held poll", poll, "", none, "", func(r *realm) int { return r.bayeux.Stats().Polls }},
	{
		"a WebSocket", func(string) string { return "GET /bayeux" + upgrade + "\r\n" }, "\r\n\r\n",
		func(id string) string { return frame(connectOver(id, "websocket")) }, "",
		func(r *realm) int { return r.bayeux.Stats().Sockets },
	},
	{
		"an EventSource", func(id string) string {
			return "GET /bayeux/" + id + " HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
		}, "retry: ",
		none, "", func(r *realm) int { return r.bayeux.Stats().Streams },
	},
	{
		"an event stream", func(string) string { return "GET /realm/default/events?channel=/a HTTP/1.1\r\nHost: x\r\n\r\n" }, `{"resumed":`,
		none, "", func(r *realm) int { return r.events.Stats().Streams },
	},
	{
		"a plain WebSocket", func(string) string {
			return "GET /realm/default/ws" + upgrade + "Sec-WebSocket-Protocol: waft.v1\r\n\r\n"
		}, "\r\n\r\n",
		func(string) string { return frame(`{"type":"subscribe","channel":"/a"}`) }, `"resumed":`,
		func(r *realm) int { return r.sockets.Stats().Sockets },
	},
}

// opened waits until the door is open.
func (d *door) opened(c *raw, id string) {
	c.t.Helper()
	c.hears(d.until)
	if then := d.then(id); then != "" {
		c.say(then)
		c.hears(d.well)
	}
}

func (r *running) publish(t *testing.T, text string) {
	t.Helper()
	m := &broker.Message{Channel: "/a", Data: []byte(text)}
	if _, err := r.realms[0].broker.Publish(t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
}

// behindProxy is a server that trusts a proxy, and lets each client wait once.
func behindProxy(t *testing.T, limits string) *running {
	t.Helper()
	return serve(t, nil, "--config", writeConfig(t, "drain = '200ms'\ntrusted_proxies = ['"+theProxy+"']\nproxy_protocol = true\n"+openRealm+limits))
}

const onceEach = "[realm.bayeux]\ntimeout = '10m'\nmax_connections_per_address = 1\n[realm.events]\nmax_streams_per_address = 1\n[realm.websocket]\nmax_sockets_per_address = 1\n"

// However the header and what follows it arrive, all who wait hear; they count for the client in the header, until they
// go.
func TestServe_every_door_behind_a_PROXY_header(t *testing.T) {
	r := behindProxy(t, onceEach)
	here := r.dial(t, "127.0.0.1")
	elsewhere := func() { here.asks(nothing) } // who connected before has been accepted
	elsewhere()
	n := 0
	for _, d := range waits {
		for arrival, begin := range map[string]func(c *raw, header, first string){
			"in one piece": func(c *raw, header, first string) { c.say(header + first) },
			"behind another request": func(c *raw, header, first string) {
				c.say(header + nothing + first)
				c.answer()
			},
			"in pieces": func(c *raw, header, first string) {
				for _, b := range []byte(header + first) {
					c.say(string([]byte{b}))
				}
			},
			"late": func(c *raw, header, first string) {
				r.dial(t, "127.0.0.1").asks(nothing)
				c.say(header)
				elsewhere()
				c.say(first)
			},
			"half late": func(c *raw, header, first string) {
				c.say(header[:7])
				r.dial(t, "127.0.0.1").asks(nothing)
				c.say(header[7:] + first[:3])
				elsewhere()
				c.say(first[3:])
			},
		} {
			for version := range byte(2) {
				t.Run(fmt.Sprintf("%s/%s/%d", d.name, arrival, version+1), func(t *testing.T) {
					n++
					header := func(client, port int) string {
						return headerFor(t, version+1, fmt.Sprintf("203.0.%d.%d:%d", n, client, port))
					}
					counts(t, "wait", 0, func() int { return d.count(r.realms[0]) })
					id := here.session()
					c := r.dial(t, theProxy)
					begin(c, header(1, 1000), d.first(id))
					d.opened(c, id)
					counts(t, "wait", 1, func() int { return d.count(r.realms[0]) })

					second := r.dial(t, theProxy)
					second.say(header(1, 1001) + d.first(here.session()))
					second.hears("429")
					third := r.dial(t, theProxy)
					other := here.session()
					third.say(header(2, 1000) + d.first(other))
					d.opened(third, other)
					counts(t, "wait", 2, func() int { return d.count(r.realms[0]) })

					text := fmt.Sprintf(`"the text %d"`, n)
					r.publish(t, text)
					c.hears(text)
					third.hears(text)
					c.nc.Close()
					third.nc.Close()
				})
			}
		}
	}
}

// No connection that waits has a goroutine, be it as it came, behind a PROXY header, or back from net/http, which had it for a request after a poll.
func TestGuard_idle_connections(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no epoll")
	}
	const each = 40
	for _, from := range []string{"127.0.0.1", theProxy} {
		for _, returned := range []bool{false, true} {
			t.Run(fmt.Sprintf("from %s, returned %t", from, returned), func(t *testing.T) {
				r := behindProxy(t, "[realm.bayeux]\ntimeout = '10m'\n")
				here := r.dial(t, "127.0.0.1")
				polls := func(n int) { counts(t, "polls", n, func() int { return r.realms[0].bayeux.Stats().Polls }) }
				all := make([]*raw, each*len(waits))
				ids := make([]string, len(all))
				for i := range all {
					all[i], ids[i] = r.dial(t, from), here.session()
					if from == theProxy {
						all[i].say(headerFor(t, byte(1+i%2), fmt.Sprintf("203.0.113.%d:%d", i, 1000+i)))
					}
				}
				if returned {
					for i, c := range all {
						c.say(poll(ids[i]))
					}
					polls(len(all))
					r.publish(t, `"for polls"`)
				}
				for i, c := range all {
					d := &waits[i%len(waits)]
					if returned {
						if answer := c.answer(); !strings.Contains(answer, `"for polls"`) {
							t.Errorf("a poll was answered %s", answer)
						}
						c.say(nothing + d.first(ids[i]))
						c.answer()
					} else {
						c.say(d.first(ids[i]))
					}
					d.opened(c, ids[i])
				}
				quiet := func(polls int) {
					await(t, "no goroutine for any", func() bool {
						waiting := 0
						for i := range waits {
							waiting += waits[i].count(r.realms[0])
						}
						return waiting == (len(waits)-1)*each+polls && runtime.NumGoroutine() < each
					})
				}
				quiet(each)
				r.publish(t, `"the last"`)
				for _, c := range all {
					c.hears(`"the last"`)
				}
				quiet(0)
			})
		}
	}
}
