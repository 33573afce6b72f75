package ws

import (
	"slices"
	"sync/atomic"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/httppub/place"
)

// feed is what a socket sends. Guarded by socket.mu.
type feed struct {
	// See socket.
	paused   bool // subscriptions are being made: what is queued must wait until the cursor knows of it
	thawing  bool // one of the groups has a replay on its way
	paging   bool // there are pages
	placeDue bool
	dry      bool                         // nothing is queued behind what was taken last
	turn     bool                         // of what is replayed
	latest   broker.Pattern               // of the message before, if there is a cursor
	cursor   atomic.Pointer[place.Cursor] // that of the group with latest; atomic for Prefetch

	pages   []*broker.Message // of a replay that is more than may be queued; still to be sent
	pagesOf *place.Cursor
	taken   chan struct{} // closed when the last page has been sent

	unacked []sent

	groups map[broker.Pattern]*group
	all    []*group // those that have a pattern left, in the order in which they were made

	began, placed int64 // on the handler's clock; placed: when places were last due
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
	b := s.only(sc)
	if len(b) == 0 {
		b = s.some(sc)
	}
	s.mu.Unlock()
	return b
}

// only gives the frame of what waits if that is one message alone, as most of the time it is: without the lists, that is half the work of
// some. nil: some tells what there is. mu is held.
func (s *socket) only(sc *outbox.Scratch) []byte {
	d := &s.feed
	if s.closing || d.paused || d.thawing || d.paging || s.room() <= 0 {
		return nil
	}
	m, p := s.session.OnlyOf()
	if m == nil {
		return nil
	}
	c := d.cursorOf(p)
	if c == nil {
		return nil
	}
	c.Pass(m)
	d.turn = !d.turn // as next does
	b, err := m.Encoded(form{})
	if err != nil {
		return nil
	}
	if s.window > 0 {
		d.unacked = append(d.unacked, sent{m.Channel, m.Position})
	}
	sc.Dry = !d.placeDue
	return b
}

// some is Fill for whatever there may be. mu is held.
func (s *socket) some(sc *outbox.Scratch) []byte {
	d := &s.feed
	for !s.closing && !d.paused {
		sc.Deliveries = s.next(sc.Deliveries[:0])
		switch {
		case len(sc.Deliveries) > 0:
			if b := s.frames(sc); len(b) > 0 {
				sc.Dry = d.dry && !d.paging && !d.placeDue
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
func (s *socket) Prefetch() {
	s.session.Prefetch()
	if c := s.feed.cursor.Load(); c != nil {
		c.Prefetch()
	}
}

// room is how many messages may be sent at a time. mu is held.
func (s *socket) room() int {
	if s.window == 0 {
		return batch
	}
	return min(batch, int(s.window)-len(s.feed.unacked))
}

// next takes what is to be sent next, as much as the window has room for, and moves the cursors behind it: what is queued and what is
// replayed take turns. mu is held.
func (s *socket) next(ds []broker.Delivery) []broker.Delivery {
	d, room := &s.feed, s.room()
	if room <= 0 {
		return ds
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
	if !d.paging {
		return ds
	}
	n := min(room, len(d.pages))
	for _, m := range d.pages[:n] {
		d.pagesOf.Pass(m)
		ds = append(ds, broker.Delivery{Message: m})
	}
	if d.pages = d.pages[n:]; len(d.pages) == 0 {
		close(d.taken)
		d.pages, d.pagesOf, d.taken, d.paging = nil, nil, nil, false
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
		ds = s.feed.passAll(ds)
	}
	return ds
}

// passAll is pass for what was queued together. It gives what is wanted, in place.
func (d *feed) passAll(all []broker.Delivery) []broker.Delivery {
	if c := d.cursorOfAll(all); c != nil {
		c.PassAll(all)
		return all
	}
	ds := all[:0]
	for _, x := range all {
		if d.pass(x) {
			ds = append(ds, x)
		}
	}
	return ds
}

// cursorOfAll gives the cursor of the one group that all of these are for; nil: there is none, or not one.
func (d *feed) cursorOfAll(all []broker.Delivery) *place.Cursor {
	if d.thawing || len(all) == 0 {
		return nil
	}
	for i := range all {
		if x := &all[i]; x.Pattern != all[0].Pattern || x.Also != nil {
			return nil
		}
	}
	return d.cursorOf(all[0].Pattern)
}

// cursorOf gives the cursor of the group with a pattern; nil: there is none. Nearly always it is the same as the time before.
func (d *feed) cursorOf(p broker.Pattern) *place.Cursor {
	if p == d.latest {
		return d.cursor.Load()
	}
	g := d.groups[p]
	if g == nil {
		return nil
	}
	d.latest = p
	d.cursor.Store(g.cursor)
	return g.cursor
}

// pass moves the cursors of the groups that a delivery is for, and counts it for those that wait for the end of their replay. It tells
// whether there is one: it may have been queued before its subscription ended.
func (d *feed) pass(x broker.Delivery) (wanted bool) {
	if len(x.Also) == 0 && !d.thawing {
		c := d.cursorOf(x.Pattern)
		if c != nil {
			c.Pass(x.Message)
		}
		return c != nil
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

// forget forgets latest: groups change.
func (d *feed) forget() {
	d.latest = ""
	d.cursor.Store(nil)
}

// add has messages of g sent from now on.
func (d *feed) add(g *group) {
	for _, p := range g.patterns {
		d.groups[p] = g
	}
	d.forget()
	d.all = append(d.all, g)
	d.thawing = d.thawing || g.cursor.Frozen()
}

// drop takes a pattern off; false: it was not there.
func (d *feed) drop(p broker.Pattern) bool {
	g := d.groups[p]
	if g == nil {
		return false
	}
	delete(d.groups, p)
	d.forget()
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
