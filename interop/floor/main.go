//go:build linux

// Command floor is what no broker can be faster than without doing less: for every message posted to it, it writes one and the
// same bytes to every subscriber, one system call each, on one goroutine. It has no channels, no queues, no limits, and
// nobody to wait for: whoever does not read ends it. `make bench-peers` measures the others by it.
//
//	floor ADDRESS      any GET subscribes, any POST publishes its body
//
// A GET that upgrades gets WebSocket frames, on /bayeux after what a Bayeux client says first (bayeux.go); one that accepts
// text/event-stream gets events; any other is a long poll (polls.go).
package main

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 §1.3 wants it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
)

// floor is the subscribers.
type floor struct {
	mu      sync.Mutex
	sockets []int // of WebSockets
	asked   []int // those of them with Bayeux clients
	streams []int // of events
	polls   polls
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("floor: usage: floor ADDRESS")
	}
	l, err := net.Listen("tcp", os.Args[1]) //nolint:noctx // it lives as long as the program
	if err != nil {
		log.Fatal("floor: ", err)
	}
	var f floor
	f.polls.open()
	go f.polls.read(&f.mu)
	go f.ask()
	for {
		nc, err := l.Accept()
		if err != nil {
			log.Fatal("floor: ", err)
		}
		go f.serve(nc)
	}
}

// serve reads requests; a subscriber has one, or is a poll.
func (f *floor) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			_ = nc.Close()
			return
		}
		if r.Method == http.MethodGet {
			f.subscribe(nc, in, r)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		f.publish(body)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func (f *floor) subscribe(nc net.Conn, in *bufio.Reader, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key != "" {
		sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 §4.2.2
		_, err := io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
			base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
		if err != nil {
			log.Fatal("floor: upgrading: ", err)
		}
		if r.URL.Path == "/bayeux" {
			converse(nc, in)
		}
	}
	bayeux := key != "" && r.URL.Path == "/bayeux"
	f.mu.Lock()
	defer f.mu.Unlock()
	fd := own(nc)
	switch {
	case key != "":
		f.sockets = append(f.sockets, fd)
		if bayeux {
			f.asked = append(f.asked, fd)
		}
	case r.Header.Get("Accept") == "text/event-stream":
		f.streams = append(f.streams, fd)
		write(fd, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"))
	default:
		f.polls.add(fd)
	}
}

// own makes a connection a descriptor of ours: the runtime would be told of whatever arrives at its own.
func own(nc net.Conn) int {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		log.Fatal("floor: ", err)
	}
	fd := -1
	_ = raw.Control(func(d uintptr) { fd, err = syscall.Dup(int(d)) })
	if err != nil || fd < 0 {
		log.Fatal("floor: dup: ", err)
	}
	_ = nc.Close()
	return fd
}

// publish is the floor.
func (f *floor) publish(body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := frame(body)
	for _, fd := range f.sockets {
		write(fd, text)
	}
	text = fmt.Appendf(nil, "data: %s\n\n", body)
	for _, fd := range f.streams {
		write(fd, text)
	}
	f.polls.publish(body)
}

func write(fd int, b []byte) {
	if n, err := syscall.Write(fd, b); n < len(b) {
		log.Fatalf("floor: a subscriber took %d of %d bytes: %v", n, len(b), err)
	}
}

// frame is a whole text message of a server.
func frame(text []byte) []byte {
	if len(text) < 126 {
		return append([]byte{0x81, byte(len(text))}, text...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(min(len(text), 0xffff))), text...)
}
