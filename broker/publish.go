package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxIDBytes is the longest an item id or an idempotency key may be.
const MaxIDBytes = 512

// PublishOptions refine one publication. The zero value stores and delivers the message, whatever its ID.
type PublishOptions struct {
	// IdempotencyKey makes repeating safe: within the engine's window (2 minutes), a channel takes one message for
	// each key, and answers the others with the first one's receipt.
	IdempotencyKey string

	// Replace makes the item of the channel's history with the message's ID give way to it (XEP-0060 §7.1.2). If messages that
	// replaced nothing have the ID several times, the item is the newest of them.
	Replace bool
}

// Publication is one message of a batch.
type Publication struct {
	Message *Message
	PublishOptions
}

// BatchError says which publication of a batch was at fault.
type BatchError struct {
	Index int
	Err   error
}

func (e *BatchError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

// Unwrap gives the fault itself.
func (e *BatchError) Unwrap() error { return e.Err }

// Publish accepts m for its channel, and returns when the engine has stored it and every local session has it
// queued; no reader is waited for. The broker owns m from the call on.
//
// It asks for ActPublish. Data and Formats must be JSON; they are compacted, and otherwise kept as written. An empty
// ID is assigned. Errors: Invalid, TooLarge, Forbidden (a reserved channel), RateLimited, the Authorizer's, the engine's.
func (b *Broker) Publish(ctx context.Context, who Principal, m *Message, o PublishOptions) (Receipt, error) {
	if err := b.accept(ctx, who, m, o); err != nil {
		return Receipt{}, err
	}
	if err := b.pace(1); err != nil {
		return Receipt{}, err
	}
	return b.commit(ctx, who, m, o)
}

// pace counts n messages of a publish against the realm's rate. What is refused before does not count: strangers cannot use it up.
func (b *Broker) pace(n int) error {
	wait := b.publishes.Take(b.limits.Load().Publishes, b.clock(), n)
	if wait == 0 {
		return nil
	}
	b.counters.rejected[RateLimited].Add(uint64(n))
	return &Error{
		Kind: RateLimited, RetryAfter: wait,
		Text: fmt.Sprintf("too many messages are being published; try again in %v", wait.Round(time.Second)+time.Second),
	}
}

// PublishAll publishes a batch in order, or nothing of it: every message is checked and authorized before the first
// is stored. The error is a *BatchError. Only a failing engine that is no Batcher can leave a batch half stored; the
// receipts then are those of the part that was.
func (b *Broker) PublishAll(ctx context.Context, who Principal, batch []Publication) ([]Receipt, error) {
	a, err := b.Accept(ctx, who, batch)
	if err != nil {
		return nil, err
	}
	if err := a.Pace(); err != nil {
		return nil, err
	}
	return a.CommitAll(ctx)
}

// Accepted is a batch that may be published: PublishAll in three steps, for an adapter that has something to do between them.
type Accepted struct {
	broker *Broker
	who    Principal
	batch  []Publication
}

// Accept checks and authorizes a batch, which the broker owns from then on. The error is a *BatchError.
func (b *Broker) Accept(ctx context.Context, who Principal, batch []Publication) (Accepted, error) {
	for i, p := range batch {
		if err := b.accept(ctx, who, p.Message, p.PublishOptions); err != nil {
			return Accepted{}, &BatchError{Index: i, Err: err}
		}
	}
	return Accepted{b, who, batch}, nil
}

// Pace counts the batch against the realm's rate. It comes before the first Commit. The error is a *BatchError.
func (a Accepted) Pace() error {
	if err := a.broker.pace(len(a.batch)); err != nil {
		return &BatchError{Index: 0, Err: err}
	}
	return nil
}

// Only is publication i alone, as the first of an Accepted that keeps none of the others.
func (a Accepted) Only(i int) Accepted {
	a.batch = []Publication{a.batch[i]}
	return a
}

// Commit stores and delivers publication i of the batch, and is called once for it. It may be later, on another goroutine: what was
// accepted is not asked about again. Errors: the engine's.
func (a Accepted) Commit(ctx context.Context, i int) (Receipt, error) {
	p := a.batch[i]
	return a.broker.commit(ctx, a.who, p.Message, p.PublishOptions)
}

// CommitAll is Commit for the whole batch, in order: in one step, all or nothing, with an engine that is a Batcher. The error is a
// *BatchError, and the receipts then are those of the part that was stored.
func (a Accepted) CommitAll(ctx context.Context) ([]Receipt, error) {
	if e, ok := a.broker.engine.(Batcher); ok && len(a.batch) > 1 {
		return a.broker.commitAll(ctx, a.who, a.batch, e)
	}
	receipts := make([]Receipt, 0, len(a.batch))
	for i := range a.batch {
		r, err := a.Commit(ctx, i)
		if err != nil {
			return receipts, &BatchError{Index: i, Err: err}
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

// accept checks everything about a publication that can be checked before it is stored.
func (b *Broker) accept(ctx context.Context, who Principal, m *Message, o PublishOptions) error {
	err := b.check(m, o)
	if err == nil {
		err = b.authorize(ctx, who, ActPublish, Pattern(m.Channel))
	}
	if err != nil {
		b.counters.rejected[KindOf(err)].Add(1)
	}
	return err
}

func (b *Broker) check(m *Message, o PublishOptions) error {
	if err := CheckMessage(m, b.limits.Load().MaxMessage); err != nil {
		return err
	}
	return checkID("idempotency key", o.IdempotencyKey)
}

// CheckMessage tells whether a message may be given to an engine, with at most so many bytes of text, and compacts its JSON. Publish
// does it by itself. Errors: Invalid, TooLarge, Forbidden (a reserved channel).
func CheckMessage(m *Message, most int) error {
	switch {
	case m.Channel == "":
		return Errorf(Invalid, "the message names no channel")
	case m.Channel.Reserved():
		return Errorf(Forbidden, "%s belongs to Bayeux and cannot be published to", m.Channel)
	case m.Data == nil && len(m.Formats) == 0:
		return Errorf(Invalid, "the message for %s has no data", m.Channel)
	case m.Size()-messageOverhead > most:
		return Errorf(TooLarge, "the message for %s has %d bytes, more than the limit of %d",
			m.Channel, m.Size()-messageOverhead, most)
	}
	if err := checkID("id", m.ID); err != nil {
		return err
	}
	var err error
	if m.Data != nil {
		if m.Data, err = CompactJSON(m.Data); err != nil {
			return err
		}
	}
	for name, f := range m.Formats {
		if m.Formats[name], err = CompactJSON(f); err != nil {
			return Errorf(Invalid, "format %s: %w", Quote(name), err)
		}
	}
	return nil
}

// checkID keeps ids to what every protocol can carry: XML has no control characters and no U+FFFE and U+FFFF.
func checkID(what, id string) error {
	if len(id) > MaxIDBytes {
		return Errorf(TooLarge, "the %s has %d bytes, more than the limit of %d", what, len(id), MaxIDBytes)
	}
	for i, r := range id {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff || r == utf8.RuneError {
			return Errorf(Invalid, "the %s %s has a character at byte %d that not every protocol can carry", what, Quote(id), i)
		}
	}
	return nil
}

// commit stamps a checked message and gives it to the engine.
func (b *Broker) commit(ctx context.Context, who Principal, m *Message, o PublishOptions) (Receipt, error) {
	a := b.stamp(who, m, o)
	size := m.Size()
	r, err := b.engine.Publish(ctx, a)
	b.count(r, size, err)
	return r, err
}

// commitAll is commit for a batch, in one step.
func (b *Broker) commitAll(ctx context.Context, who Principal, batch []Publication, e Batcher) ([]Receipt, error) {
	list, sizes := b.stampAll(who, batch)
	receipts, err := e.PublishAll(ctx, list)
	if err != nil {
		b.refused(len(batch), err)
		if at, ok := errors.AsType[*BatchError](err); ok {
			return nil, at
		}
		return nil, &BatchError{Index: 0, Err: err}
	}
	for i, r := range receipts {
		b.count(r, sizes[i], nil)
	}
	return receipts, nil
}

// stamp makes a checked message what the engine takes.
func (b *Broker) stamp(who Principal, m *Message, o PublishOptions) Append {
	if m.ID == "" {
		m.ID = rand.Text()
	}
	m.Publisher, m.Time = who.Subject, time.Now()
	return Append{Message: m, Key: o.IdempotencyKey, Replace: o.Replace, Keep: b.opts.Retention(m.Channel)}
}

// stampAll is stamp for a batch, and the messages' sizes.
func (b *Broker) stampAll(who Principal, batch []Publication) (list []Append, sizes []int) {
	list, sizes = make([]Append, len(batch)), make([]int, len(batch))
	for i, p := range batch {
		list[i] = b.stamp(who, p.Message, p.PublishOptions)
		sizes[i] = p.Message.Size()
	}
	return list, sizes
}

// refused counts n messages that the engine did not take.
func (b *Broker) refused(n int, err error) {
	for range n {
		b.count(Receipt{}, 0, err)
	}
}

// count notes what became of a message of that Size.
func (b *Broker) count(r Receipt, size int, err error) {
	switch {
	case err != nil:
		b.counters.rejected[KindOf(err)].Add(1)
	case r.Duplicate:
		b.counters.duplicates.Add(1)
	default:
		b.counters.published.Add(1)
		b.counters.publishedBytes.Add(uint64(size - messageOverhead))
	}
}

// Remove takes an item out of a channel's history; notify tells the channel's subscribers (XEP-0060 §7.2). It asks for
// ActPublish: who may replace an item may remove it. Errors: NotFound, the Authorizer's, the engine's.
func (b *Broker) Remove(ctx context.Context, who Principal, c Channel, id string, notify bool) error {
	if err := b.authorize(ctx, who, ActPublish, Pattern(c)); err != nil {
		return err
	}
	err := b.engine.Remove(ctx, c, id, notify)
	if err == nil {
		b.counters.removed.Add(1)
	}
	return err
}

// History reads what is kept of a channel. It asks for ActRead. Errors: HistoryLost, the Authorizer's, the engine's.
func (b *Broker) History(ctx context.Context, who Principal, c Channel, r Range) (Page, error) {
	if err := b.authorize(ctx, who, ActRead, Pattern(c)); err != nil {
		return Page{}, err
	}
	return b.engine.History(ctx, c, r)
}

// Channels lists the channels that have history, are matched by p, and that who may subscribe to; by name, after the
// given one, at most limit (0: no limit).
func (b *Broker) Channels(ctx context.Context, who Principal, p Pattern, after Channel, limit int) ([]ChannelInfo, error) {
	all, err := b.engine.Channels(ctx, PatternsOf(p), after, 0)
	if err != nil {
		return nil, err
	}
	visible := all[:0]
	for _, c := range all {
		if limit > 0 && len(visible) == limit {
			break
		}
		if b.authorize(ctx, who, ActSubscribe, Pattern(c.Channel)) == nil {
			visible = append(visible, c)
		}
	}
	return visible, nil
}
