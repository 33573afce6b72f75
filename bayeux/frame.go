package bayeux

import "waft/broker/outbox/wsframe"

// appendFrame appends the list as a frame.
func (l *list) appendFrame(b []byte) []byte {
	b = append(wsframe.AppendHeader(b, wsframe.Text, len(l.buf)+2), '[')
	return append(append(b, l.buf...), ']')
}
