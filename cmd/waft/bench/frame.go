package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
)

// The client's side of RFC 6455, as far as a subscriber needs it: it offers no extension, so that any server sends
// frames without one.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	finalBit   = 0x80
	maskBit    = 0x80
	maxControl = 125
	maxMessage = 64 << 20 // bytes; a server may join many events
)

var errClosed = errors.New("the server closed the connection")

// nextFrame reads the frame that b begins with. size is 0 if it has not come whole.
func nextFrame(b []byte) (op byte, final bool, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, false, nil, 0, nil
	}
	op, final = b[0]&15, b[0]&finalBit != 0
	switch {
	case b[0]&0x70 != 0:
		return 0, false, nil, 0, errors.New("a frame of an extension that was not agreed on")
	case b[1]&maskBit != 0:
		return 0, false, nil, 0, errors.New("a masked frame from a server")
	case op > opBinary && op < opClose || op > opPong:
		return 0, false, nil, 0, fmt.Errorf("a frame of unknown kind %d", op)
	}
	length, head := uint64(b[1]), 2
	switch {
	case length == 126 && len(b) >= 4:
		length, head = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case length == 127 && len(b) >= 10:
		length, head = binary.BigEndian.Uint64(b[2:]), 10
	case length > maxControl:
		return 0, false, nil, 0, nil
	}
	if length > maxMessage || op >= opClose && length > maxControl {
		return 0, false, nil, 0, fmt.Errorf("a frame of %d bytes", length)
	}
	size = head + int(length)
	if len(b) < size {
		return 0, false, nil, 0, nil
	}
	return op, final, b[head:size], size, nil
}

// appendFrame appends a whole message of a client. The mask protects proxies from clients that others have programmed
// (RFC 6455 §10.3), and here nobody: it need not be secret.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, finalBit|op)
	switch n := len(payload); {
	case n <= maxControl:
		b = append(b, maskBit|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
	mask := rand.Uint32() //nolint:gosec // see above
	key := [4]byte{byte(mask), byte(mask >> 8), byte(mask >> 16), byte(mask >> 24)}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// frames puts messages together from what arrives piece by piece. The zero value is ready.
type frames struct {
	rest    []byte // of a frame that is not whole
	message []byte // of fragments so far
}

// feed calls message with every whole message in b, and control with every control frame. Both get bytes that are good
// until they return.
func (f *frames) feed(b []byte, message func([]byte) error, control func(op byte, payload []byte) error) error {
	if len(f.rest) > 0 {
		f.rest = append(f.rest, b...)
		b = f.rest
	}
	for {
		op, final, payload, size, err := nextFrame(b)
		if err != nil {
			return err
		}
		if size == 0 {
			f.rest = append(f.rest[:0], b...)
			if len(b) == 0 && cap(f.rest) > 4<<10 {
				f.rest = nil
			}
			return nil
		}
		b = b[size:]
		switch {
		case op >= opClose:
			err = control(op, payload)
		case final && op != opContinuation:
			err = message(payload)
		case len(f.message)+len(payload) > maxMessage:
			err = fmt.Errorf("a message of more than %d bytes", maxMessage)
		default:
			if f.message = append(f.message, payload...); final {
				err = message(f.message)
				f.message = nil
			}
		}
		if err != nil {
			return err
		}
	}
}
