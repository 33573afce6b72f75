//go:build !linux

package park

import "net"

const peek = 0

// event and poller are never made: without epoll nothing is parked.
type event struct{}

func (e *event) ticket() uint64 { return 0 }

func (e *event) what() Happened { return 0 }

type poller struct{}

func newPoller() (*poller, error) { return nil, ErrNotPlain }

func (p *poller) close() error { return nil }

func (p *poller) wait(func([]event)) {}

func (p *poller) add(*Socket, Happened) error { return ErrNotPlain }

func (p *poller) remove(*Socket) {}

func duplicate(*net.TCPConn) (int32, error) { return none, ErrNotPlain }

func closeDescriptor(int32) {}

func shutDown(uintptr) {}

func (w *Worker) writes(uintptr) bool { return true }

func (w *Worker) reads(uintptr) bool { return true }
