package broker

import (
	"context"
	"time"
)

// Engine keeps messages and carries them to every process of the realm. The broker owns one and calls it from many
// goroutines. brokertest.RunEngine is its contract in executable form.
//
// Order: for each channel, storing a message and delivering it are one step. deliver is called once per message
// and process, in the order of the channel's offsets, never twice at a time for one channel. A reader that has
// read History up to a position therefore misses nothing if it then takes what is delivered after it.
type Engine interface {
	// Start hands over deliver, which gives a message (or a retraction) to this process's sessions and returns how
	// many there were. deliver does not block. Start is called once, before any other method.
	Start(deliver func(*Message) (receivers int)) error

	// Publish stores a.Message, sets its Position, and delivers it. When it returns without error the message is
	// kept as the engine promises. A repeated a.Key within the window stores nothing, and answers with the
	// first receipt, marked Duplicate.
	Publish(ctx context.Context, a Append) (Receipt, error)

	// History reads what is kept of a channel, oldest first. A channel nobody published to is an empty page.
	// HistoryLost when r.After or r.Before does not lie in this history, or messages after r.After are gone.
	History(ctx context.Context, c Channel, r Range) (Page, error)

	// Remove takes an item out of the history and, if notify, delivers its retraction in the channel's order. Of several messages with
	// the id it is the newest, as for Append.Replace. NotFound if no kept message has the id.
	Remove(ctx context.Context, c Channel, id string, notify bool) error

	// Channels lists the channels that keep a message, matched by a pattern of ps, sorted by name, after the given name, at most limit
	// (0: no limit). It looks at a channel once, however many patterns there are. A channel is in every list that was asked for after its message was delivered, as long as it keeps one:
	// a replay of a wildcard reads these, and trusts that all others begin with what is delivered from then on.
	Channels(ctx context.Context, ps Patterns, after Channel, limit int) ([]ChannelInfo, error)

	// Stats counts what is kept now.
	Stats() EngineStats

	// Close ends it. No delivery happens after Close returned; calls then fail with Closed.
	Close() error
}

// Batcher is an engine that can store several messages in one step.
type Batcher interface {
	// PublishAll is Publish for each of a batch, in order, with one wait for all. With a *BatchError nothing of the batch is stored
	// because of the publication at Index, and the batch may be tried again without it. With another error nothing is stored either,
	// but if the disk fails at that very moment: then whether it was is open for all of it, as for one message.
	PublishAll(ctx context.Context, batch []Append) ([]Receipt, error)
}

// Append is one message on its way into an engine.
type Append struct {
	Message *Message
	Key     string    // idempotency key within the channel; "" for none
	Replace bool      // the newest kept message with the message's id gives way
	Keep    Retention // how much history the channel has
}

// Retention is how much of a channel is kept. The zero Retention keeps nothing.
type Retention struct {
	Size  int           // messages; 0 keeps none
	Bytes int64         // of them, by Message.Size; 0 sets no limit. The newest stays, however big it is
	Age   time.Duration // how long; 0 sets no limit
}

// Receipt tells a publisher what became of a message.
type Receipt struct {
	ID        string   // the publisher's or the assigned one
	Position  Position // its place in the channel
	Duplicate bool     // the same idempotency key was published before: this is the first one's receipt
	Receivers int      // sessions of this process that had it queued; 0 for a duplicate
}

// Range selects messages of a history. The zero Range is all that is kept.
type Range struct {
	After  Position // only messages after this one
	Before Position // only messages before this one, or before the next that will be published
	IDs    []string // only these items, in the history's order
	Limit  int      // at most so many; 0: no limit
	Newest bool     // with Limit: the newest of the range, not the oldest
}

// Page is an answer of History.
type Page struct {
	Messages []*Message // oldest first
	Last     Position   // of the newest message ever published to the channel, kept or not; zero: none
	Total    int        // messages kept in the channel
	Index    int        // how many kept messages stand before the first of Messages; 0 when Messages is empty
	Complete bool       // Limit left nothing of the range out
}

// ChannelInfo describes a channel that has history.
type ChannelInfo struct {
	Channel  Channel
	Messages int      // kept
	Last     Position // newest ever
}

// EngineStats counts what an engine keeps.
type EngineStats struct {
	Channels int
	Messages int
	Bytes    int64
	Evicted  uint64 // channels whose history was dropped to stay within the limits

	// Mark becomes another number when the engine forgets, for other reasons than the limits of its rule, what a channel kept: a reader
	// who knows no position in that channel can tell by it that he has missed something. It stands as long as the histories do.
	Mark uint64
}

// Store keeps small durable records (nodes, affiliations, endpoints) beside an engine's messages.
type Store interface {
	// Get reads a record. NotFound if there is none.
	Get(ctx context.Context, key string) (Record, error)
	// Put writes a record whose revision is still r.Revision (0: does not exist yet) and gives its new revision.
	// Conflict if somebody else wrote it meanwhile.
	Put(ctx context.Context, r Record) (revision uint64, err error)
	// Delete removes a record. NotFound if there is none.
	Delete(ctx context.Context, key string) error
	// Scan calls yield with every record whose key begins with prefix, in key order, until yield returns false.
	Scan(ctx context.Context, prefix string, yield func(Record) bool) error
}

// Record is one value of a Store.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64
}
