package bayeux

import (
	"slices"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsframe"
)

// eventForm is a message's form on this door: a finished WebSocket text frame that holds a JSON array with the one
// event. It is made once per message and shared by every socket; long polls and frames that join several events
// cut the event out of it, so that no second form is kept.
//
// An event is channel, data, and allow-listed ext; nothing else a publisher wrote is passed on. One published
// "advice" once could silence every Faye subscriber of a channel, and a leaked id makes older clients take the event
// for the reply to a request of their own.
type eventForm struct {
	ext      []string                  // members of ext that are delivered
	stamped  bool                      // with the time of publication
	keeps    func(broker.Channel) bool // which channels have a history
	replayID func(broker.Channel) bool // on which of them data.event.replayId is a must (replayid.go); nil: none

	plain *eventForm // of the form with positions: the one without (replayed.go)
}

var _ broker.Encoder = (*eventForm)(nil)

// EncodeMessage implements broker.Encoder. Messages without data (payloads for other transports only) and notices of
// removal have no form here.
func (f *eventForm) EncodeMessage(m *broker.Message) ([]byte, error) {
	if m.Retracted || m.Data == nil {
		return nil, broker.ErrSkip
	}
	kept := (f.plain != nil || f.replayID != nil) && !m.Position.IsZero() && f.keeps(m.Channel)
	if f.plain != nil && !kept {
		return m.Encoded(f.plain)
	}
	ext, data := allowedExt(string(m.Formats[extFormat]), f.ext), []byte(m.Data)
	if f.plain != nil {
		ext = addPosition(ext, m.Position)
	}
	if kept && f.replayID != nil && f.replayID(m.Channel) {
		data = withReplayID(data, m.Position)
	}
	n := len(`[{"channel":"","data":}]`) + len(m.Channel) + len(data)
	if ext != "" {
		n += len(`,"ext":`) + len(ext)
	}
	var stamp []byte
	if f.stamped {
		stamp = appendTimestamp(nil, m.Time)
		n += len(stamp)
	}
	b := make([]byte, 0, wsframe.MaxHeader+n)
	b = wsframe.AppendHeader(b, wsframe.Text, n)
	b = append(b, `[{"channel":"`...)
	b = append(b, m.Channel...) // its grammar leaves nothing to escape
	b = append(b, `","data":`...)
	b = append(b, data...)
	if ext != "" {
		b = append(b, `,"ext":`...)
		b = append(b, ext...)
	}
	return append(append(b, stamp...), `}]`...), nil
}

// event cuts the event out of its frame.
func event(frame []byte) []byte { return frame[wsframe.HeaderLen(frame)+1 : len(frame)-1] }

// append adds the events of ds to l, and tells how many there were.
func (f *eventForm) append(l *list, ds []broker.Delivery) (events int) {
	for _, d := range ds {
		if frame, err := d.Message.Encoded(f); err == nil {
			l.addRaw(event(frame))
			events++
		}
	}
	return events
}

// frames gives the bytes for ds on a socket: the shared frame of a single one, or few frames that join several.
func (f *eventForm) frames(sc *outbox.Scratch, ds []broker.Delivery) []byte {
	if len(ds) == 1 {
		frame, err := ds[0].Message.Encoded(f)
		if err != nil {
			return nil
		}
		return frame
	}
	return sc.Join(f, ds, f.join)
}

// maxJoined is how large a frame may get by joining. Clients have limits, of 64 KiB and more.
const maxJoined = 60 << 10

// join appends frames with the events of ds.
func (f *eventForm) join(dst []byte, ds []broker.Delivery) []byte {
	for len(ds) > 0 {
		n, size := 0, len(`[`)
		for _, d := range ds {
			frame, err := d.Message.Encoded(f)
			if err == nil {
				if size > len(`[`) && size+len(frame) > maxJoined {
					break
				}
				size += len(event(frame)) + len(`,`)
			}
			n++
		}
		if size > len(`[`) {
			dst = wsframe.AppendHeader(dst, wsframe.Text, size) // the last comma stands for the bracket
			dst = append(dst, '[')
			for _, d := range ds[:n] {
				if frame, err := d.Message.Encoded(f); err == nil {
					dst = append(append(dst, event(frame)...), ',')
				}
			}
			dst[len(dst)-1] = ']'
		}
		ds = ds[n:]
	}
	return dst
}

// deliverable drops, in place, what has no form here.
func (f *eventForm) deliverable(ds []broker.Delivery) []broker.Delivery {
	return slices.DeleteFunc(ds, func(d broker.Delivery) bool {
		_, err := d.Message.Encoded(f)
		return err != nil
	})
}
