package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// roster is the subscribers that share a component's link: users of the XMPP server that is played here, each with an
// address and a subscription (XEP-0060 §6.1) of its own. Its fields are the fleet's.
type roster struct {
	link    *link
	stanzas stanzas
	all     []*subscriber // by number in the fleet; nil: not yet
	waiting []chan error  // likewise: for the answer to a subscription
	over    atomic.Bool   // the end of the stream is what is waited for
}

// welcome waits for the component, and has its stream read from then on.
func (f *fleet) welcome(ctx context.Context) error {
	l, err := f.Target.Component.await(ctx)
	if err != nil {
		return err
	}
	r := &roster{link: l, all: make([]*subscriber, f.Count), waiting: make([]chan error, f.Count)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roster = r
	f.readers.Go(func() { f.readLink(r) })
	return nil
}

// readLink reads the component's stream until it ends.
func (f *fleet) readLink(r *roster) {
	b := make([]byte, 256<<10)
	n := copy(b, r.link.rest)
	for {
		f.begin()
		err := error(nil)
		if !f.ended {
			if err = r.stanzas.feed(b[:n], f.stanza); err != nil {
				f.unlinked(r, err)
			}
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
		if n, err = r.link.Read(b); err != nil {
			f.mu.Lock()
			f.unlinked(r, err)
			f.mu.Unlock()
			return
		}
	}
}

// stanza takes what the component has to say. f.mu is held.
func (f *fleet) stanza(st []byte) error {
	r := f.roster
	switch {
	case bytes.HasPrefix(st, []byte("<message ")):
		s := r.named(attribute(st, "to"))
		eachStamp(st, func(m stamp) {
			if f.current = s; s == nil {
				f.tally.Strays++
				return
			}
			f.see(m)
		})
	case bytes.HasPrefix(st, []byte("<iq ")):
		typ, id := string(attribute(st, "type")), attribute(st, "id")
		if typ == "get" || typ == "set" {
			return r.link.answer(st)
		}
		if bytes.HasPrefix(id, []byte(voiceMark)) {
			if s, ok := toVoice(id); ok {
				if typ != "result" {
					s.Refused = fmt.Sprintf("the component refused to publish: %.300s", st)
				}
				f.heard(s)
			}
			return nil
		}
		switch typ {
		case "result":
			r.answered(st, nil)
		default:
			r.answered(st, &refusedError{fmt.Sprintf("the component answered a subscription with %.300s", st)})
		}
	case bytes.HasPrefix(st, []byte("<stream:error")):
		return fmt.Errorf("the component ended its stream: %.300s", st)
	}
	return nil
}

// named is the subscriber of an address, nil if there is none.
func (r *roster) named(jid []byte) *subscriber {
	local, _, _ := bytes.Cut(jid, []byte("@"))
	if n, err := strconv.Atoi(string(bytes.TrimPrefix(local, []byte("u")))); err == nil && n >= 0 && n < len(r.all) {
		return r.all[n]
	}
	return nil
}

// answered tells whoever waits for it.
func (r *roster) answered(iq []byte, err error) {
	n, bad := strconv.Atoi(string(bytes.TrimPrefix(attribute(iq, "id"), []byte("s"))))
	if bad != nil || n < 0 || n >= len(r.waiting) || r.waiting[n] == nil {
		return
	}
	r.waiting[n] <- err
	r.waiting[n] = nil
}

// unlinked is the end of the link, and so of all who share it. f.mu is held.
func (f *fleet) unlinked(r *roster, err error) {
	if r.over.Load() || f.ended {
		return
	}
	r.over.Store(true)
	_ = r.link.Close()
	f.heard(said{Over: err.Error()})
	for i, s := range r.all {
		if c := r.waiting[i]; c != nil {
			c <- err
			r.waiting[i] = nil
			continue
		}
		if s == nil || s.lost {
			continue
		}
		s.lost = true
		f.left[s.channel]++
		if f.tally.Disconnected++; f.tally.Reason == "" {
			f.tally.Reason = err.Error()
		}
	}
}

// jid is the address of the i-th subscriber. It has a resource: a subscription of a bare address would outlive the run.
func (f *fleet) jid(i int) string {
	return "u" + strconv.Itoa(i) + "@" + f.Target.Component.Host + "/bench"
}

// join subscribes the i-th user.
func (f *fleet) join(ctx context.Context, i int) error {
	s := &subscriber{channel: (f.First + i) % f.Channels, tracks: make([]track, f.Publishers)}
	answer := make(chan error, 1)
	f.mu.Lock()
	r, k := f.roster, f.Target.Component
	if r.over.Load() || f.ended {
		f.mu.Unlock()
		return errClosed
	}
	r.all[i], r.waiting[i] = s, answer // events may come as soon as the answer
	f.all = append(f.all, s)
	f.mu.Unlock()
	err := r.link.send("<iq type='set' id='s" + strconv.Itoa(i) + "' from='" + f.jid(i) + "' to='" + k.Domain +
		"'><pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='" + channelName(f.Prefix, f.Run, s.channel) +
		"' jid='" + f.jid(i) + "'/></pubsub></iq>")
	if err != nil {
		return err
	}
	t := time.NewTimer(dialTimeout)
	defer t.Stop()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return errors.New("the component did not answer a subscription")
	}
}

// goodbye logs all users off, which ends their subscriptions, then the stream, and waits for the component's end of it:
// what is closed with something unread behind it takes back what was written last.
func (f *fleet) goodbye() {
	r := f.roster
	if r == nil {
		return
	}
	if !r.over.Swap(true) {
		var b bytes.Buffer
		for i, s := range r.all {
			if s != nil {
				fmt.Fprintf(&b, "<presence type='unavailable' from='%s' to='%s'/>", f.jid(i), f.Target.Component.Domain)
			}
		}
		b.WriteString("</stream:stream>")
		_ = r.link.SetReadDeadline(time.Now().Add(goodbyeTimeout))
		_ = r.link.send(b.String())
	}
	f.readers.Wait()
	_ = r.link.Close()
}

const goodbyeTimeout = 5 * time.Second
