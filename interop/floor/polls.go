//go:build linux

package main

import (
	"bytes"
	"fmt"
	"log"
	"sync"
	"syscall"
)

// polls are connections that get each message as the response to a request: one system call writes it, another reads the next request, and a
// third asks which have one, for up to 256 at once. What is published while a request is on its way is the response to it; there is one
// such message at most, for publishers have one on its way.
type polls struct {
	epoll    int
	all      []poll
	latest   int // message
	response []byte
}

// poll is one connection.
type poll struct {
	fd   int
	held bool // its request is there, and waits
	has  int  // message
}

func (p *polls) open() {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		log.Fatal("floor: making an epoll: ", err)
	}
	p.epoll = fd
}

// add holds a connection's first request.
func (p *polls) add(fd int) {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(len(p.all))}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		log.Fatal("floor: epoll_ctl: ", err)
	}
	p.all = append(p.all, poll{fd, true, p.latest})
}

// publish answers those that wait.
func (p *polls) publish(body []byte) {
	p.latest++
	p.response = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for i := range p.all {
		if p.all[i].held {
			p.answer(&p.all[i])
		}
	}
}

func (p *polls) answer(c *poll) {
	if c.has++; c.has != p.latest {
		log.Fatal("floor: polls are for one message on its way, and no more")
	}
	write(c.fd, p.response)
	c.held = false
}

// read takes requests, for ever.
func (p *polls) read(mu *sync.Mutex) {
	events := make([]syscall.EpollEvent, 256)
	b := make([]byte, 4<<10)
	for {
		n, err := syscall.EpollWait(p.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			log.Fatal("floor: epoll_wait: ", err)
		}
		mu.Lock()
		for _, e := range events[:max(n, 0)] {
			p.request(&p.all[e.Fd], b)
		}
		mu.Unlock()
	}
}

// request reads one, which has come whole: it is small.
func (p *polls) request(c *poll, b []byte) {
	n, err := syscall.Read(c.fd, b)
	if n <= 0 {
		if err != syscall.EAGAIN {
			_ = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil) // gone
			c.held = false
		}
		return
	}
	if !bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
		log.Fatalf("floor: a poll came in pieces: %q", b[:n])
	}
	if c.held = true; c.has < p.latest {
		p.answer(c)
	}
}
