package outbox

import "waft/broker"

var _ broker.Bell = (*Conn)(nil)

// rung is connections by shard.
type rung [][]*Conn

// RingAll implements broker.Bell: each shard is told once of all its connections among these.
func (c *Conn) RingAll(bells []broker.Bell) {
	if len(bells) == 1 {
		c.Ready()
		return
	}
	x := c.shard.outbox
	r := x.rung.Get().(*rung)
	lists := *r
	for i, b := range bells {
		if c, ok := b.(*Conn); ok && c.shard.outbox == x {
			lists[c.shard.number] = append(lists[c.shard.number], c)
		} else {
			b.RingAll(bells[i : i+1])
		}
	}
	for i, list := range lists {
		if len(list) == 0 {
			continue
		}
		x.shards[i].add(list...)
		clear(list)
		lists[i] = list[:0]
	}
	x.rung.Put(r)
}
