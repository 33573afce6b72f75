//go:build linux

// Command floor is what no broker can be faster than without doing less: for every message posted to it, it writes one and the
// same WebSocket frame to every subscriber, one system call each, on one goroutine. It has no channels, no queues, no limits, and
// nobody to wait for: whoever does not read ends it. `make bench-peers` measures the others by it.
//
//	floor ADDRESS      any GET that upgrades subscribes, any POST publishes its body
package main

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 §1.3 wants it
	"encoding/base64"
	"encoding/binary"
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
	conns   []net.Conn // keep the descriptors open
	sockets []int
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
	for {
		nc, err := l.Accept()
		if err != nil {
			log.Fatal("floor: ", err)
		}
		go f.serve(nc)
	}
}

// serve reads requests; a subscriber has one.
func (f *floor) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			_ = nc.Close()
			return
		}
		if r.Method == http.MethodGet {
			f.subscribe(nc, r.Header.Get("Sec-WebSocket-Key"))
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		f.publish(frame(body))
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func (f *floor) subscribe(nc net.Conn, key string) {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 §4.2.2
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		log.Fatal("floor: ", err)
	}
	_ = raw.Control(func(fd uintptr) { f.sockets = append(f.sockets, int(fd)) })
	f.conns = append(f.conns, nc)
	_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
}

// publish is the floor.
func (f *floor) publish(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fd := range f.sockets {
		if n, err := syscall.Write(fd, frame); n < len(frame) {
			log.Fatalf("floor: a subscriber took %d of %d bytes: %v", n, len(frame), err)
		}
	}
}

// frame is a whole text message of a server.
func frame(text []byte) []byte {
	if len(text) < 126 {
		return append([]byte{0x81, byte(len(text))}, text...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(min(len(text), 0xffff))), text...)
}
