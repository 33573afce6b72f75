package loss

import (
	"fmt"
	"sync"
	"time"
)

// Key names one message.
type Key struct {
	Channel   string
	Publisher string
	N         int // the publisher's count
}

func (k Key) String() string { return fmt.Sprintf("%s %s/%d", k.Channel, k.Publisher, k.N) }

// Ledger is where publishers and readers note what they did and saw. Its methods, and those of its readers, may be called
// by many goroutines.
type Ledger struct {
	mu      sync.Mutex
	clock   int64 // of calls
	sent    map[Key]*entry
	kinds   map[string]string // publisher → protocol
	last    map[string]Key    // of each channel that has ended
	readers []*Reader
	slow    []*Slow // one after the other
}

// entry is what is known of a message. The numbers are the ledger's clock; 0: not yet.
type entry struct {
	sent, acknowledged int64
	began, at          time.Time // when these were
}

// NewLedger makes an empty one.
func NewLedger() *Ledger {
	return &Ledger{sent: map[Key]*entry{}, kinds: map[string]string{}, last: map[string]Key{}}
}

// Publisher names the protocol that a publisher uses.
func (l *Ledger) Publisher(name, protocol string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds[name] = protocol
}

// Send notes that a message is about to be sent. Sending it again changes nothing.
func (l *Ledger) Send(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	if l.sent[k] == nil {
		l.sent[k] = &entry{sent: l.clock, began: time.Now()}
	}
}

// Acknowledge notes that the broker has answered for a message.
func (l *Ledger) Acknowledge(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	if e := l.sent[k]; e != nil && e.acknowledged == 0 {
		e.acknowledged, e.at = l.clock, time.Now()
		l.answeredSlowly(e)
	}
}

// Last says which message ends its channel.
func (l *Ledger) Last(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[k.Channel] = k
}

// Acknowledged is how many messages the broker has answered for.
func (l *Ledger) Acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.sent {
		if e.acknowledged > 0 {
			n++
		}
	}
	return n
}
