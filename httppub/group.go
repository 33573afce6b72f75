package httppub

import (
	"context"
	"slices"

	"waft/broker"
)

// What a group of a bulk load may have. It can be above groupBytes by one line.
const (
	groupLines = 512
	groupBytes = 256 << 10 // of messages, by Message.Size
)

// group is lines of a bulk load that are stored together and then answered, so that they wait for the disk once. It has those that
// had arrived; for others it does not wait.
type group struct {
	publication // of the lines that may be published

	accepted broker.Accepted     // its items
	send     map[int]func() bool // by the item's number
	place    []int               // by the item's number, that of its line in lines
	lines    []answeredLine      // in order; blank ones are not among them
	bytes    int                 // of the items
}

// answeredLine is what became of a line. While it has neither a receipt nor an error it is to be published.
type answeredLine struct {
	line    int
	receipt *receipt
	err     error
}

func (g *group) full() bool { return len(g.lines) >= groupLines || g.bytes >= groupBytes }

// add takes the one item of p, which has been accepted.
func (g *group) add(line int, p *publication, accepted broker.Accepted, send func() bool) {
	if send != nil {
		if g.send == nil {
			g.send = map[int]func() bool{}
		}
		g.send[len(g.items)] = send
	}
	g.bytes += p.items[0].Message.Size()
	g.items = append(g.items, p.items[0])
	g.accepted = g.accepted.And(accepted)
	g.place = append(g.place, len(g.lines))
	g.lines = append(g.lines, answeredLine{line: line})
}

// has tells whether an item of the group has the id: what follows that one comes behind it without waiting.
func (g *group) has(c broker.Channel, id string) bool {
	for _, p := range slices.Backward(g.items) { // it is the last one of the channel that most follow
		if m := p.Message; m.ID == id && m.Channel == c && p.Replace {
			return true
		}
	}
	return false
}

// commit publishes the items, and gives the lines of which is known what became of them: all, or those up to a fatal error.
func (g *group) commit(ctx context.Context) []answeredLine {
	accepted := g.accepted
	for at := 0; at < len(g.items); {
		receipts, failed, err := accepted.CommitEach(ctx)
		for i, r := range receipts {
			to := &receipt{Channel: string(g.items[at+i].Message.Channel)}
			g.published(to, at+i, r, g.send[at+i])
			g.lines[g.place[at+i]].receipt = to
		}
		at += len(receipts)
		for i := range failed {
			g.lines[g.place[at+i]].err = single(err)
		}
		at += failed
		if err != nil && (ctx.Err() != nil || fatal(err)) {
			return g.lines[:g.place[at-1]+1]
		}
		accepted = accepted.From(len(receipts) + failed)
	}
	return g.lines
}

// clear makes room for the next lines. What a broker was given is the broker's.
func (g *group) clear() {
	clear(g.items)
	clear(g.lines)
	g.items, g.place, g.lines = g.items[:0], g.place[:0], g.lines[:0]
	g.accepted, g.send, g.bytes = broker.Accepted{}, nil, 0
}
