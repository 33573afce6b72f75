package httppub

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"waft/broker"
)

// IntakeOptions says how much may be published to a realm, and what is remembered of it. The zero value works.
type IntakeOptions struct {
	Limits PublishLimits // may be replaced: SetLimits

	Hold            time.Duration // how long an item waits for the one before it; 0 means 5 seconds, negative: not at all
	MaxChannelHeld  int           // items of one channel that wait; 0 means 100
	MaxHeld         int           // of all channels; 0 means 10,000
	MaxHeldBytes    int           // of all channels; 0 means 64 MiB
	OrderedChannels int           // channels whose last ids are known; 0 means 100,000

	KeyWindow time.Duration // how long the body of an Idempotency-Key is remembered; 0 means 2 minutes, an engine's default
	MaxKeys   int           // of them; 0 means 10,000. Beyond it the oldest are forgotten

	MaxStreams      int // bulk loads at a time; 0 means 100
	MaxRefusedLines int // lines of a bulk load that are refused one after the other until it is ended; 0 means 100

	// Logger is told of accepted items that were lost (error). nil means slog.Default().
	Logger *slog.Logger
}

// Intake is what one realm's publishing over HTTP has in common: rates, the order of items, and the keys of requests. nil is
// an Intake without any limit or order, and which forgets keys.
type Intake struct {
	// static
	opts    IntakeOptions
	rates   rates
	order   order
	keys    keys
	streams held
	closing context.Context // ends with Shutdown
	close   context.CancelFunc

	counters intakeCounters
}

// NewIntake makes an Intake, to be ended with Shutdown. The error is of kind Invalid.
func NewIntake(o IntakeOptions) (*Intake, error) {
	if min(o.MaxChannelHeld, o.MaxHeld, o.MaxHeldBytes, o.OrderedChannels, o.MaxKeys, o.MaxStreams, o.MaxRefusedLines) < 0 || o.KeyWindow < 0 {
		return nil, broker.Errorf(broker.Invalid, "the limits of an HTTP publish intake must not be negative")
	}
	o.Hold = cmp.Or(o.Hold, 5*time.Second)
	o.MaxChannelHeld = cmp.Or(o.MaxChannelHeld, 100)
	o.MaxHeld = cmp.Or(o.MaxHeld, 10_000)
	o.MaxHeldBytes = cmp.Or(o.MaxHeldBytes, 64<<20)
	o.OrderedChannels = cmp.Or(o.OrderedChannels, 100_000)
	o.KeyWindow = cmp.Or(o.KeyWindow, 2*time.Minute)
	o.MaxKeys = cmp.Or(o.MaxKeys, 10_000)
	o.MaxStreams = cmp.Or(o.MaxStreams, 100)
	o.MaxRefusedLines = cmp.Or(o.MaxRefusedLines, 100)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	in := &Intake{opts: o, streams: held{what: "bulk loads", instead: "; try again later"}}
	in.rates.began = time.Now()
	in.order.init(&in.opts, &in.counters)
	in.keys.window, in.keys.most = o.KeyWindow, o.MaxKeys
	in.closing, in.close = context.WithCancel(context.Background())
	return in, in.SetLimits(o.Limits)
}

// Shutdown ends the bulk loads and publishes what is held, in the order in which it came. From then on nothing is held. It comes before
// the broker's. The error is ctx's, when it ends before all is published.
func (in *Intake) Shutdown(ctx context.Context) error {
	in.close()
	return in.order.shutdown(ctx)
}

// ended ends with Shutdown.
func (in *Intake) ended() context.Context {
	if in == nil {
		return context.Background()
	}
	return in.closing
}
