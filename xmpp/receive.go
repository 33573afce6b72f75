package xmpp

import (
	"context"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"waft/xmpp/component"
)

// receive is the link's handler. It runs on the goroutine that reads, so it only finds the stanza a worker.
func (s *Service) receive(st *component.Stanza) {
	if st.From == "" {
		return // nobody to answer; servers always stamp it
	}
	sender := bare(st.From)
	farewell := st.Kind == component.Presence && st.Type == "unavailable" // ends things, and costs little
	if !farewell && !s.limiter.take(sender, time.Now()) {
		s.count.tooFast.Add(1)
		s.turnAway(st, errTooFast)
		return
	}
	in := s.inboxes[maphash.String(s.seed, sender)%uint64(len(s.inboxes))]
	switch in.put(st, sender) {
	case taken:
		return
	case closed:
		s.turnAway(st, errStopping)
	case full:
		s.turnAway(st, errBusy)
	case greedy:
		s.turnAway(st, errGreedy)
	}
}

// turnAway answers a request without doing it. Other stanzas are dropped: a lost presence or bounce costs no more than
// an event sent in vain.
func (s *Service) turnAway(st *component.Stanza, why *stanzaError) {
	s.count.turnedAway.Add(1)
	if isRequest(st) {
		s.count.request(why)
		_ = s.link.Send(s.appendError(nil, st, why)) // full or down: this goroutine cannot wait
	}
}

// bare cuts the resource off a JID as the server wrote it.
func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}

// work is a worker's goroutine. It ends when the inbox is closed and empty, or ctx ends.
func (s *Service) work(ctx context.Context, in *inbox) {
	var batch []letter
	var out []byte // the reply's bytes, used again
	for {
		clear(batch)
		var open bool
		batch, open = in.take(batch)
		for _, l := range batch {
			if ctx.Err() == nil {
				out = s.handle(ctx, l.stanza, out[:0])
			}
			in.done(l)
		}
		if len(batch) > 0 {
			continue
		}
		if !open {
			return
		}
		select {
		case <-in.wake:
		case <-ctx.Done():
			return
		}
	}
}

// maxKeptReply is the largest reply buffer that a worker keeps.
const maxKeptReply = 64 << 10

// handle deals with one stanza and sends what there is to say. A panic costs that stanza only.
func (s *Service) handle(ctx context.Context, st *component.Stanza, out []byte) (buffer []byte) {
	answered := false
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "handling a stanza panicked", slog.String("kind", string(st.Kind)), slog.Any("panic", p),
				slog.String("stack", string(debug.Stack())))
			if isRequest(st) && !answered {
				s.send(ctx, s.appendError(nil, st, errInternal))
			}
		}
	}()
	var after func(context.Context)
	switch st.Kind {
	case component.IQ:
		out, after = s.iq(ctx, st, out)
	case component.Message:
		out = s.message(ctx, st, out)
	case component.Presence:
		out = s.presence(ctx, st, out)
	}
	answered = true
	if len(out) > 0 {
		s.send(ctx, out)
	}
	if after != nil {
		after(ctx)
	}
	if cap(out) > maxKeptReply {
		return nil
	}
	return out
}

// send queues one stanza, waiting while the link is full. While it is down nobody waits for an answer, so that is lost.
func (s *Service) send(ctx context.Context, stanza []byte) {
	if s.gate.try(ctx, false, func() error { return s.link.Send(stanza) }) != nil {
		s.count.repliesLost.Add(1)
	}
}
