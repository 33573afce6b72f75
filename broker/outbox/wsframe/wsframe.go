// Package wsframe makes WebSocket frames as a server sends them: unmasked, never fragmented. (RFC 6455 §5.2) A finished frame is one of a
// message's wire forms, which the outbox writes to any number of sockets.
package wsframe

import "encoding/binary"

// Opcodes.
const (
	Text  = 0x1
	Close = 0x8
	Ping  = 0x9
	Pong  = 0xA
)

// MaxHeader is the longest header.
const MaxHeader = 10

// AppendHeader appends the header of a frame with so many bytes of payload. op may have reserved bits as well.
func AppendHeader(b []byte, op byte, payload int) []byte {
	b = append(b, 0x80|op)
	switch {
	case payload < 126:
		return append(b, byte(payload))
	case payload < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(payload))
	default:
		return binary.BigEndian.AppendUint64(append(b, 127), uint64(payload))
	}
}

// HeaderLen reads the length of a header that AppendHeader wrote.
func HeaderLen(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	default:
		return 2
	}
}

// Append appends a whole frame.
func Append(b []byte, op byte, payload string) []byte {
	return append(AppendHeader(b, op, len(payload)), payload...)
}

// Closing is a close frame. The reason may have 123 bytes.
func Closing(code int, reason string) []byte {
	b := AppendHeader(nil, Close, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}
