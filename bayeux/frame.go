package bayeux

import "encoding/binary"

// WebSocket frames as a server sends them: unmasked, never fragmented. (RFC 6455 §5.2)
const (
	opText    = 0x1
	opClose   = 0x8
	opPing    = 0x9
	opPong    = 0xA
	maxHeader = 10
)

func appendHeader(b []byte, op byte, payload int) []byte {
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

// headerLen reads the length of a header that appendHeader wrote.
func headerLen(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	default:
		return 2
	}
}

// appendFrame appends the list as a frame.
func (l *list) appendFrame(b []byte) []byte {
	b = append(appendHeader(b, opText, len(l.buf)+2), '[')
	return append(append(b, l.buf...), ']')
}

func closeFrame(code int, reason string) []byte {
	b := appendHeader(nil, opClose, 2+len(reason))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}
