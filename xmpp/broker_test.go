package xmpp

import (
	"context"

	"waft/broker"
)

// failing is an engine that stores so many messages and then cannot.
type failing struct {
	broker.Engine
	left int
}

func (f *failing) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	if f.left--; f.left < 0 {
		return broker.Receipt{}, broker.Errorf(broker.Unavailable, "the disk is full")
	}
	return f.Engine.Publish(ctx, a)
}
