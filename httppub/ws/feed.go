package ws

import (
	"slices"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/httppub/place"
)

// feed is what a socket sends. Guarded by socket.mu.
type feed struct {
	began, placed int64 // on the handler's clock; placed: when places were last due

	paused   bool // subscriptions are being made: what is queued must wait until the cursor knows of it
	placeDue bool
	dry      bool // nothing is queued behind what was taken last

	groups  map[broker.Pattern]*group
	all     []*group // those that have a pattern left, in the order in which they were made
	thawing bool     // one of them has a replay on its way

	turn    bool              // of what is replayed
	pages   []*broker.Message // of a replay that is more than may be queued; still to be sent
	pagesOf *place.Cursor
	taken   chan struct{} // closed when the last page has been sent

	unacked []sent
}

// group is what one subscribe has made: patterns with one place.
type group struct {
	ref      []byte
	patterns []broker.Pattern
	cursor   *place.Cursor
}

// sent is a message that is to be acknowledged.
type sent struct {
	channel  broker.Channel
	position broker.Position
}

func (d *feed) begin(now int64) {
	d.began, d.placed = now, now
	d.groups = map[broker.Pattern]*group{}
}

// batch is how many messages are written at a time, so that one socket does not hold up its shard.
const batch = 64

// Fill implements outbox.Source.
func (s *socket) Fill(sc *outbox.Scratch) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.feed
	for !s.closing && !d.paused {
		sc.Deliveries = s.next(sc.Deliveries[:0])
		switch {
		case len(sc.Deliveries) > 0:
			if b := s.frames(sc); len(b) > 0 {
				sc.Dry = d.dry && len(d.pages) == 0 && !d.placeDue
				return b
			}
		case d.placeDue:
			d.placeDue = false
			return d.places(sc)
		default:
			return nil
		}
	}
	return nil
}

// Prefetch implements outbox.Source.
func (s *socket) Prefetch() { s.session.Prefetch() }

// next takes what is to be sent next, as much as the window has room for, and moves the cursors behind it: what is queued and what is
// replayed take turns. mu is held.
func (s *socket) next(ds []broker.Delivery) []broker.Delivery {
	d, room := &s.feed, batch
	if s.window > 0 {
		if room = min(room, s.window-len(d.unacked)); room <= 0 {
			return ds
		}
	}
	d.dry = false
	if d.turn = !d.turn; d.turn {
		ds = d.page(ds, room)
	}
	if len(ds) == 0 {
		ds = s.queued(ds, room)
	}
	if len(ds) == 0 {
		ds = d.page(ds, room)
	}
	if s.window > 0 {
		for _, x := range ds {
			if _, err := x.Message.Encoded(form{}); err == nil {
				d.unacked = append(d.unacked, sent{x.Message.Channel, x.Message.Position})
			}
		}
	}
	return ds
}

// page takes from a replay.
func (d *feed) page(ds []broker.Delivery, room int) []broker.Delivery {
	if len(d.pages) == 0 {
		return ds
	}
	n := min(room, len(d.pages))
	for _, m := range d.pages[:n] {
		d.pagesOf.Pass(m)
		ds = append(ds, broker.Delivery{Message: m})
	}
	if d.pages = d.pages[n:]; len(d.pages) == 0 {
		close(d.taken)
		d.pages, d.pagesOf, d.taken = nil, nil, nil
	}
	return ds
}

// queued takes from the session's queue.
func (s *socket) queued(ds []broker.Delivery, room int) []broker.Delivery {
	for len(ds) == 0 {
		ds, s.feed.dry = s.session.DrainMax(ds, room)
		if len(ds) == 0 {
			break
		}
		all := ds
		ds = all[:0]
		for _, x := range all {
			if s.feed.pass(x) {
				ds = append(ds, x)
			}
		}
	}
	return ds
}

// pass moves the cursors of the groups that a delivery is for, and counts it for those that wait for the end of their replay. It tells
// whether there is one: it may have been queued before its subscription ended.
func (d *feed) pass(x broker.Delivery) (wanted bool) {
	if len(x.Also) == 0 && !d.thawing {
		g := d.groups[x.Pattern]
		if g != nil {
			g.cursor.Pass(x.Message)
		}
		return g != nil
	}
	d.thawing = false
	for _, g := range d.all {
		switch {
		case slices.ContainsFunc(x.Also, g.has) || g.has(x.Pattern):
			g.cursor.Pass(x.Message)
		case g.cursor.Frozen():
			g.cursor.Skip()
		}
		d.thawing = d.thawing || g.cursor.Frozen()
	}
	for p := range x.Patterns() {
		wanted = wanted || d.groups[p] != nil
	}
	return wanted
}

func (g *group) has(p broker.Pattern) bool { return slices.Contains(g.patterns, p) }

// frames gives the bytes of what was drained: shared ones.
func (s *socket) frames(sc *outbox.Scratch) []byte {
	if len(sc.Deliveries) == 1 {
		b, _ := sc.Deliveries[0].Message.Encoded(form{}) // none without a form here
		return b
	}
	return sc.Join(form{}, sc.Deliveries, form{}.append)
}

// places gives the places of the groups that have wildcards: the older one is, the less it is worth. Of the others the client knows by the
// positions of their messages.
func (d *feed) places(sc *outbox.Scratch) []byte {
	now := time.Now().UnixMilli()
	sc.Buf = sc.Buf[:0]
	for _, g := range d.all {
		if g.cursor.Wild() {
			g.cursor.Advance(now)
			a := answer{Type: "place", Ref: g.ref, Channels: g.patterns, Place: g.place()}
			sc.Buf = append(sc.Buf, a.frame()...)
		}
	}
	return sc.Buf
}

func (g *group) place() string {
	var raw []byte
	return string(g.cursor.Append(nil, &raw))
}

// drop takes a pattern off; false: it was not there.
func (d *feed) drop(p broker.Pattern) bool {
	g := d.groups[p]
	if g == nil {
		return false
	}
	delete(d.groups, p)
	g.patterns = slices.DeleteFunc(g.patterns, func(other broker.Pattern) bool { return other == p })
	g.cursor.Drop(p, g.patterns)
	if len(g.patterns) == 0 {
		d.all = slices.DeleteFunc(d.all, func(other *group) bool { return other == g })
	}
	return true
}

// acknowledge lets messages out of the window: of each channel those up to the position.
func (s *socket) acknowledge(f *frame) {
	if s.window == 0 {
		s.fail(f, broker.Errorf(broker.Invalid, "the connection has no window; ask for one in its address: ?window=100"))
		return
	}
	s.mu.Lock()
	d, last := &s.feed, map[broker.Channel]int{}
	for i, x := range d.unacked {
		if at, ok := f.at[x.channel]; ok && x.position.Epoch == at.Epoch && x.position.Offset <= at.Offset {
			last[x.channel] = i
		}
	}
	i := -1
	d.unacked = slices.DeleteFunc(d.unacked, func(x sent) bool { // what came before that too, of an earlier epoch
		i++
		end, ok := last[x.channel]
		return ok && i <= end
	})
	s.mu.Unlock()
	s.conn.Load().Ready()
	if f.ref != nil {
		s.tell(&answer{Type: "acked", Ref: f.ref})
	}
}
