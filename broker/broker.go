package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options says how a realm's broker works. Authorizer is required; the zero value of everything else works.
type Options struct {
	// Authorizer is asked before every operation.
	Authorizer Authorizer

	// Engine keeps and relays messages; nil means a MemoryEngine with default limits. The broker closes it.
	Engine Engine

	// Retention says how much history a channel has. nil keeps none. It is called for every publish, by many goroutines.
	Retention func(Channel) Retention

	// NoHistory tells whether some channels of a pattern keep no history whatever is published, and gives a pattern of those: a
	// wildcard with such a gap cannot be replayed. nil: there is no gap if there is a Retention.
	NoHistory func(p Pattern) (none Pattern, gap bool)

	// MaxReplayChannels is how many channels one replay may have; 0 means 1,000. How many messages is up to the session's queue.
	MaxReplayChannels int

	MaxMessage  int  // bytes of one message's texts (Message.Size less its overhead); 0 means 1,000,000
	MaxSessions int  // at a time; 0 means 100,000
	Publishes   Rate // messages published, through all doors together; the zero Rate sets no limit

	// OnEvent is told of sessions and subscriptions that come and go, and of sessions that lose messages. It must not block nor call the broker. nil: nobody.
	OnEvent func(Event)

	// Wheel runs the timers. nil: a wheel of the broker's own.
	Wheel *Wheel
}

// Limits are those of the Options that SetLimits can change.
type Limits struct {
	MaxMessage, MaxSessions int
	Publishes               Rate
	MaxReplayChannels       int
}

// Broker is the one place where a realm's messages meet its subscriptions. See the package documentation.
type Broker struct {
	// static
	opts     Options
	engine   Engine
	wheel    *Wheel
	ownWheel bool
	began    time.Time
	index    *index
	matches  sync.Pool // of *matching: scratch space of deliver

	mu       sync.RWMutex // guards sessions, lived and closed
	sessions map[string]*Session
	lived    map[string]time.Duration // by the sessions that ended, by protocol
	closed   bool
	tasks    taskGroup

	serial        atomic.Uint64 // of session labels
	limits        atomic.Pointer[Limits]
	subscriptions atomic.Int64
	publishes     Tally
	counters      counters
}

// New starts a broker. The error is of kind Invalid, or the engine's.
func New(o Options) (*Broker, error) {
	if o.Authorizer == nil {
		return nil, Errorf(Invalid, "a broker needs an Authorizer: nothing is open by default")
	}
	b := &Broker{}
	if err := b.SetLimits(Limits{o.MaxMessage, o.MaxSessions, o.Publishes, o.MaxReplayChannels}); err != nil {
		return nil, err
	}
	if o.Engine == nil {
		o.Engine = NewMemoryEngine(MemoryOptions{})
	}
	if o.NoHistory == nil {
		none := o.Retention == nil
		o.NoHistory = func(p Pattern) (Pattern, bool) { return p, none }
	}
	if o.Retention == nil {
		o.Retention = func(Channel) Retention { return Retention{} }
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	b.opts, b.engine, b.wheel, b.began, b.index, b.sessions = o, o.Engine, o.Wheel, time.Now(), newIndex(), map[string]*Session{}
	b.matches.New = func() any { return &matching{newest: map[*Session]int{}} }
	if err := b.engine.Start(b.deliver); err != nil {
		return nil, err
	}
	if b.wheel == nil {
		b.wheel, b.ownWheel = NewWheel(0), true
	}
	return b, nil
}

// SetLimits replaces limits of the Options; zero is the default again. Sessions that are there stay. The error is of kind Invalid.
func (b *Broker) SetLimits(l Limits) error {
	if min(l.MaxMessage, l.MaxSessions, l.MaxReplayChannels) < 0 {
		return Errorf(Invalid, "a broker's limits must not be negative")
	}
	l.MaxMessage = cmp.Or(l.MaxMessage, 1_000_000)
	l.MaxSessions = cmp.Or(l.MaxSessions, 100_000)
	l.MaxReplayChannels = cmp.Or(l.MaxReplayChannels, 1_000)
	b.limits.Store(&l)
	return nil
}

// Wheel is where the broker's timers run; adapters put theirs on it too.
func (b *Broker) Wheel() *Wheel { return b.wheel }

// May asks the Authorizer about who, for adapters that must tell what somebody would be allowed (a list of channels,
// a service discovery). Operations ask by themselves.
func (b *Broker) May(ctx context.Context, who Principal, act Action, p Pattern) error {
	return b.authorize(ctx, who, act, p)
}

// Keeps tells whether what is published to c is kept for a while: whether its positions are worth anything to a reader.
func (b *Broker) Keeps(c Channel) bool { return b.opts.Retention(c).Size > 0 }

func (b *Broker) authorize(ctx context.Context, who Principal, act Action, p Pattern) error {
	if who.ExpiredAt(time.Now()) {
		return ErrCredentialExpired
	}
	return b.opts.Authorizer.Authorize(ctx, who, act, p)
}

// Open starts a session. Errors: Invalid, Conflict (the ID is in use), RateLimited (too many sessions), Closed.
func (b *Broker) Open(o SessionOptions) (*Session, error) {
	if o.MaxMessages < 0 || o.MaxBytes < 0 || o.IdleTTL < 0 {
		return nil, Errorf(Invalid, "a session's limits must not be negative")
	}
	o.MaxMessages = cmp.Or(o.MaxMessages, 1_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	o.MaxSubscriptions = cmp.Or(o.MaxSubscriptions, 1_000)
	o.Protocol = cmp.Or(o.Protocol, "session")
	if o.ID == "" {
		o.ID = newSessionID()
	}
	s := &Session{broker: b, opts: o, opened: time.Since(b.began), serial: b.serial.Add(1)}
	s.Touch()

	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, ErrShutdown
	case len(b.sessions) >= b.limits.Load().MaxSessions:
		return nil, Errorf(RateLimited, "the server has %d sessions, which is the most it may have", len(b.sessions))
	case b.sessions[o.ID] != nil:
		return nil, Errorf(Conflict, "a session with this id exists")
	}
	b.sessions[o.ID] = s
	if o.IdleTTL > 0 {
		s.mu.Lock()
		s.expiry = b.wheel.AfterFunc(o.IdleTTL, s.checkIdle)
		s.mu.Unlock()
	}
	b.counters.opened.Add(1)
	b.event(Event{Type: EventOpened, Session: s})
	return s, nil
}

// newSessionID is 32 characters of base 32: 160 random bits in the alphabet Bayeux allows.
func newSessionID() string {
	return strings.Clone((rand.Text() + rand.Text())[:32])
}

// Session finds a living session by its ID.
func (b *Broker) Session(id string) (*Session, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s, ok := b.sessions[id]
	return s, ok
}

// Sessions lists the living sessions, in no order.
func (b *Broker) Sessions() []*Session {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := make([]*Session, 0, len(b.sessions))
	for _, s := range b.sessions {
		list = append(list, s)
	}
	return list
}

// forget takes an ended session off the books.
func (b *Broker) forget(s *Session, subscriptions int, reason error) {
	b.mu.Lock()
	delete(b.sessions, s.opts.ID)
	if b.lived == nil {
		b.lived = map[string]time.Duration{}
	}
	b.lived[s.opts.Protocol] += time.Since(s.Opened())
	b.mu.Unlock()
	b.subscriptions.Add(-int64(subscriptions))
	b.counters.ended[KindOf(reason)].Add(1)
	b.event(Event{Type: EventEnded, Session: s, Reason: reason})
}

// clock is nanoseconds since the broker began: monotonic, and small enough for one atomic.
func (b *Broker) clock() int64 { return int64(time.Since(b.began)) }

// Shutdown ends every session with an error of kind Closed, waits until their adapters have been told or ctx ends, and
// closes the engine. Publishing and opening fail from the first moment. It may be called again.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	for _, s := range b.Sessions() {
		s.Close(ErrShutdown)
	}
	err := b.engine.Close()
	if waited := b.tasks.wait(ctx); err == nil {
		err = waited
	}
	if b.ownWheel {
		b.wheel.Close()
	}
	return err
}

// taskGroup runs short tasks (taking sessions down) that Shutdown waits for.
type taskGroup struct {
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when running falls to 0, if somebody waits
}

// Go runs f on a goroutine of its own.
func (g *taskGroup) Go(f func()) {
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	go func() {
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.running--; g.running == 0 && g.idle != nil {
				close(g.idle)
				g.idle = nil
			}
		}()
		f()
	}()
}

// wait blocks until no task runs, or ctx ends.
func (g *taskGroup) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.running == 0 {
			g.mu.Unlock()
			return nil
		}
		if g.idle == nil {
			g.idle = make(chan struct{})
		}
		idle := g.idle
		g.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
