package httppub

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"

	"waft/broker"
)

// receipt is what a JSON client is told of one item, in the order of the request's items.
type receipt struct {
	ID        string   `json:"id"`                // the publisher's, or the assigned one
	Channel   string   `json:"channel"`           // with its leading slash
	Position  position `json:"position,omitzero"` // in the channel's history, the same on every protocol
	Duplicate bool     `json:"duplicate"`         // the id was published before: this is the first one's position
	Receivers int      `json:"receivers"`         // sessions of this process that had it queued; 0 for a duplicate
	Held      bool     `json:"held,omitempty"`    // it is not published yet, and has no position: it waits for the item that it follows
}

func (r *receipt) fill(from broker.Receipt) {
	r.ID, r.Position, r.Duplicate, r.Receivers = from.ID, position(from.Position), from.Duplicate, from.Receivers
}

// position is written out only for those who read receipts, and most clients do not.
type position broker.Position

// MarshalText is the text that clients carry.
func (p position) MarshalText() ([]byte, error) { return []byte(broker.Position(p).String()), nil }

// publication is a batch on its way to a realm.
type publication struct {
	batch

	realm Realm
	who   broker.Principal
	from  netip.Prefix
	stays bool // the request waits until all of it is stored
}

// accept finds out whether all of it may be published, and counts it for the rates. On an error nothing has happened.
func (p *publication) accept(ctx context.Context) (broker.Accepted, map[int]func() bool, error) {
	send, err := p.realm.stanzas(ctx, p.who, p.items)
	if err != nil {
		return broker.Accepted{}, nil, err
	}
	accepted, err := p.realm.Broker.Accept(ctx, p.who, p.items)
	if err != nil {
		return accepted, nil, err
	}
	claims, err := p.realm.Intake.take(p.who, p.from, p.items)
	if err != nil {
		return accepted, nil, err
	}
	if err := accepted.Pace(); err != nil {
		giveBack(claims)
		return accepted, nil, err
	}
	return accepted, send, nil
}

// commit publishes what was accepted. An item that has to wait for the one that it follows gets a receipt without a position, unless
// the request stays. If an engine fails in the middle there is an error, and receipts for the items before it. send has what sends the
// XMPP message of an item, by its number; a repeated item sends none.
func (p *publication) commit(ctx context.Context, accepted broker.Accepted, send map[int]func() bool) (answer, error) {
	receipts := make([]receipt, len(p.items))
	var stored []broker.Receipt
	var failed error
	if !p.ordered() {
		stored, failed = accepted.CommitAll(ctx)
	}
	var waiting map[int]*ticket
	for i := range p.items {
		m := p.items[i].Message
		receipts[i].Channel = string(m.Channel)
		t, must := p.hold(accepted, i, send[i])
		if t != nil {
			receipts[i].ID, receipts[i].Held = m.ID, true
			if p.stays || must {
				if waiting == nil {
					waiting = map[int]*ticket{}
				}
				waiting[i] = t
			}
			continue
		}
		var r broker.Receipt
		switch {
		case i < len(stored):
			r = stored[i]
		case failed != nil:
			return answer{Receipts: receipts[:i]}, failed
		default:
			var err error
			if r, err = accepted.Commit(ctx, i); err != nil {
				return answer{Receipts: receipts[:i]}, &broker.BatchError{Index: i, Err: err}
			}
		}
		p.published(&receipts[i], i, r, send[i])
	}
	for i := range p.items {
		t := waiting[i]
		if t == nil {
			continue
		}
		select {
		case <-t.done:
		case <-ctx.Done():
			return answer{Receipts: receipts}, ctx.Err()
		}
		if t.err != nil {
			return answer{Receipts: receipts[:i]}, &broker.BatchError{Index: i, Err: t.err}
		}
		receipts[i].fill(t.receipt)
		receipts[i].Held = false
	}
	a := answer{Message: "Published", Receipts: receipts}
	held := 0
	for i := range receipts {
		if receipts[i].Held {
			held++
		}
	}
	if held > 0 {
		a.status = http.StatusAccepted
		a.Message = fmt.Sprintf("Published, but for %d of %d items, which wait for those that they follow", held, len(receipts))
	}
	return a, nil
}

// published notes that item i is stored, in its receipt too, and sends the XMPP message that it may have.
func (p *publication) published(to *receipt, i int, r broker.Receipt, send func() bool) {
	to.fill(r)
	if p.items[i].Replace && p.realm.Intake != nil { // the publisher gave it an id, by which others may know it
		p.realm.Intake.order.published(p.items[i].Message.Channel, r.ID)
	}
	if send != nil && !r.Duplicate {
		send()
	}
}

// ordered tells whether an item names one that it follows: then each is published by itself, when its turn comes.
func (p *publication) ordered() bool {
	for i := range p.items {
		if p.follows(i) != "" {
			return true
		}
	}
	return false
}

// hold gives item i to the realm's order, if it has to wait; must says that the request has to wait for it too.
func (p *publication) hold(accepted broker.Accepted, i int, after func() bool) (t *ticket, must bool) {
	prev := p.follows(i)
	if prev == "" || p.realm.Intake == nil {
		return nil, false
	}
	m := p.items[i].Message
	t = &ticket{item: accepted.Only(i), id: m.ID, size: m.Size(), after: after}
	if m.ID == "" {
		m.ID = rand.Text() // the receipt names it before the broker would
	}
	must, ok := p.realm.Intake.order.hold(m.Channel, prev, t)
	if !ok {
		return nil, false
	}
	return t, must
}
