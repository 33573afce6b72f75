package httppub

import (
	"context"

	"waft/broker"
)

// receipt is what a JSON client is told of one item, in the order of the request's items.
type receipt struct {
	ID        string   `json:"id"`        // the publisher's, or the assigned one
	Channel   string   `json:"channel"`   // with its leading slash
	Position  position `json:"position"`  // in the channel's history, the same on every protocol
	Duplicate bool     `json:"duplicate"` // the id was published before: this is the first one's position
	Receivers int      `json:"receivers"` // sessions of this process that had it queued; 0 for a duplicate
}

// position is written out only for those who read receipts, and most clients do not.
type position broker.Position

// MarshalText is the text that clients carry.
func (p position) MarshalText() ([]byte, error) { return []byte(broker.Position(p).String()), nil }

// publish hands the batch to the broker, which publishes it whole or not at all. If an engine fails in the middle there
// is an error, and receipts for the items before it. send has what sends the XMPP message of an item, by its number; a
// repeated item sends none.
func publish(ctx context.Context, b *broker.Broker, who broker.Principal, batch []broker.Publication, send map[int]func() bool) (answer, error) {
	stored, err := b.PublishAll(ctx, who, batch)
	receipts := make([]receipt, len(stored))
	for i, r := range stored {
		receipts[i] = receipt{
			ID: r.ID, Channel: string(batch[i].Message.Channel), Position: position(r.Position),
			Duplicate: r.Duplicate, Receivers: r.Receivers,
		}
		if out := send[i]; out != nil && !r.Duplicate {
			out()
		}
	}
	return answer{Message: "Published", Receipts: receipts}, err
}
