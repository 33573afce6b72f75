package place

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"waft/broker"
)

// Memo remembers the latest steps of cursors, and what was written of them: who was where another was, and passes the same messages, is
// where that one is, and is sent the same bytes. Texts of places are most of what a delivery of several channels would cost.
//
// That two cursors are at one place is found out when each has made a text of its own, and it is the same; from then on they share a
// spot, until one of them goes another way. A text is true for all who share it, whatever else their cursors remember, and whichever
// patterns brought the messages: they were where the text before says, which says all, and then had the same.
//
// It belongs to one goroutine at a time. The zero value is ready.
type Memo struct {
	Before string // what stands before the text of a place, which the form of a message follows

	steps [4]step // streams of several sets of channels may follow each other in any order
	turn  int     // which gives way next
	vain  int     // how many have been made since one was of use
	raw   []byte
}

// Where each stream has channels of its own there is nothing to remember, and then it is tried only now and then.
const (
	maxVain = 64
	again   = 8
)

// step is what led from one spot to another.
type step struct {
	from, to uint64
	check    uint32 // of the text of to
	text     []byte // part of bytes; nil: it does not say all
	bytes    []byte
	form     broker.Encoder
	passed   []*broker.Message
}

var spots atomic.Uint64 // the latest

// Append moves c behind the messages of ds, as PassAll does, and appends them to dst, each behind the text of its place. Messages
// without a form are left out. The form must be comparable.
func (m *Memo) Append(dst []byte, c *Cursor, form broker.Encoder, ds []broker.Delivery) []byte {
	if s := m.step(c.spot, form, ds); s != nil {
		m.vain = 0
		c.PassAll(ds)
		c.spot = s.to
		return append(dst, s.bytes...)
	}
	if m.vain++; m.vain > maxVain && m.vain%again != 0 {
		for i := range ds {
			dst, _ = m.AppendOne(dst, c, form, ds[i].Message)
		}
		return dst
	}
	s := &m.steps[m.turn]
	s.from, s.to, s.form, s.passed, s.bytes = c.spot, 0, form, s.passed[:0], s.bytes[:0]
	for i := range ds {
		s.passed = append(s.passed, ds[i].Message)
		s.bytes, s.text = m.AppendOne(s.bytes, c, form, ds[i].Message)
	}
	if s.text != nil && c.frozen == 0 {
		s.check = binary.BigEndian.Uint32(m.raw[len(m.raw)-4:])
		m.settle(c, s)
	}
	return append(dst, s.bytes...)
}

// AppendOne is Append for a message alone, of which nothing is remembered. It gives the text, too, if it says all.
func (m *Memo) AppendOne(dst []byte, c *Cursor, form broker.Encoder, msg *broker.Message) (all, text []byte) {
	c.Pass(msg)
	b, err := msg.Encoded(form)
	if err != nil {
		return dst, nil
	}
	dst = append(dst, m.Before...)
	begin := len(dst)
	dst = c.Append(dst, &m.raw)
	if m.raw[0]&idBroken == 0 {
		text = dst[begin:]
	}
	return append(dst, b...), text
}

// AppendPlace is Cursor.Append.
func (m *Memo) AppendPlace(dst []byte, c *Cursor) []byte { return c.Append(dst, &m.raw) }

// step gives what is remembered of a way from a spot; nil: nothing.
func (m *Memo) step(from uint64, form broker.Encoder, ds []broker.Delivery) *step {
	if from == 0 {
		return nil
	}
	for i := range m.steps {
		if s := &m.steps[i]; s.from == from && s.to != 0 && s.is(ds) && s.form == form {
			return s
		}
	}
	return nil
}

// settle gives c, which has made the step, the spot of those with the same text, or a new one.
func (m *Memo) settle(c *Cursor, s *step) {
	for i := range m.steps {
		if o := &m.steps[i]; o.check == s.check && o.to != 0 && bytes.Equal(o.text, s.text) {
			s.to, m.vain = o.to, 0
			break
		}
	}
	joined := s.to != 0
	if !joined {
		s.to = spots.Add(1)
	}
	c.spot = s.to
	if !joined || s.from != 0 { // else nobody will come this way
		m.turn = (m.turn + 1) % len(m.steps)
	}
}

func (s *step) is(ds []broker.Delivery) bool {
	if len(ds) != len(s.passed) {
		return false
	}
	for i, m := range s.passed {
		if ds[i].Message != m {
			return false
		}
	}
	return true
}
