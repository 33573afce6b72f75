package xmpp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
	"waft/xmpp/component"
)

// Service is a realm's publish-subscribe service on one XMPP server. Make it with [New] and give it a goroutine with
// [Service.Run].
type Service struct {
	// Static after New.
	opts    Options
	broker  *broker.Broker
	log     *slog.Logger
	link    *component.Link
	domain  string // the service's JID
	session *broker.Session
	inboxes []*inbox
	seed    maphash.Seed // of the workers' choice, and of the marks in event ids

	limiter   *limiter // owned by the link's goroutine
	gate      gate
	audience  *audience
	nodes     *registry
	shelf     *shelf
	announcer *announcer
	doors     doorkeeper
	bell      doorbell
	where     *whereabouts
	probing   atomic.Bool // a round of probes waits to be sent
	admins    *admins
	runs      *runs
	chats     *chats
	running   atomic.Bool
	recalled  atomic.Bool // the store has been read
	count     counters
}

// ErrRan is what Run returns when it was called before: a service is used up by one Run.
var ErrRan = errors.New("xmpp: the service has run already")

// New makes a service that does nothing until Run. The error says which option is wrong, or is the broker's.
func New(o Options) (*Service, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Service{opts: o, broker: o.Broker, log: o.Logger, seed: maphash.MakeSeed()}
	s.gate.init()
	for range o.Workers {
		s.inboxes = append(s.inboxes, newInbox(o.InboxSize, o.InboxBytes))
	}
	link := o.Link
	link.Handler = s.receive
	link.Up = func() {
		s.gate.set(true)
		s.linkUp()
	}
	link.Down = func(error) { s.gate.set(false) }
	link.Writable = s.gate.signal
	if s.link, err = component.New(link); err != nil {
		return nil, err
	}
	s.domain = s.link.Domain()
	s.log = s.log.With(slog.String("xmpp_domain", s.domain))
	s.session, err = o.Broker.Open(broker.SessionOptions{
		Protocol: "xmpp", Overflow: broker.DropOldest, MaxSubscriptions: -1, Fixture: true,
		MaxMessages: o.QueueMessages, MaxBytes: o.QueueBytes,
		Readers: func(p broker.Pattern) iter.Seq[string] { return s.audience.readers(p) },
	})
	if err != nil {
		return nil, err
	}
	s.audience = newAudience(s.session, s.seed, o.MaxSubscriptions, o.MaxTotalSubscriptions)
	s.nodes = newRegistry(o.Store, s.domain, o.MaxNodes, o.MaxTotalNodes)
	s.shelf = newShelf(o.Store, s.domain)
	s.limiter = newLimiter(time.Second/time.Duration(o.SenderRate), o.SenderBurst, o.MaxSenders)
	s.bell.by = newLimiter(time.Minute/time.Duration(o.RequestRate), o.RequestRate, o.MaxSenders)
	s.where = newWhereabouts(o.MaxResources, o.MaxPresences)
	s.announcer = newAnnouncer(o.MaxAnnouncements)
	s.admins = newAdmins(o.Store, s.domain, o.MaxAdmins, o.Principal)
	s.opts.Principal = s.admins.principal
	s.chats = newChats(s.seed, o.ChatRate)
	s.runs = newRuns(s.seed, o.MaxCommands, o.MaxTotalCommands, o.CommandTTL)
	return s, nil
}

// JID is the address of the service: the component's domain.
func (s *Service) JID() string { return s.domain }

// drainTime is how long requests that were accepted may still take when the service ends.
const drainTime = 5 * time.Second

// Run serves until ctx ends and then returns nil: requests that wait are answered, new ones refused, the stream is
// closed. When the broker ends the service's session instead, or the store cannot be read at the start, Run returns why.
// No goroutine is left behind.
func (s *Service) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return ErrRan
	}
	defer s.session.Close(nil)
	defer s.audience.rest()
	if err := s.recall(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}

	// Each stage outlives the one before it: requests are done before the link is, or nobody could be answered.
	background := context.WithoutCancel(ctx)
	linkCtx, endLink := context.WithCancel(background)
	workCtx, endWork := context.WithCancel(background)
	defer endLink()
	defer endWork()

	var workers, rest sync.WaitGroup
	for _, in := range s.inboxes {
		workers.Go(func() { s.work(workCtx, in) })
	}
	announcing := make(chan int, 1)
	rest.Go(func() { announcing <- s.announcer.run(workCtx) })
	failed := make(chan error, 1)
	rest.Go(func() { failed <- s.notifyAll(linkCtx) })
	rest.Go(func() { _ = s.link.Run(linkCtx) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	late := time.AfterFunc(drainTime, endWork)
	for _, in := range s.inboxes {
		in.close()
	}
	workers.Wait()
	s.announcer.close() // after the workers: what they did is to be told
	s.unsaid(<-announcing)
	late.Stop()
	endLink()
	rest.Wait()
	return err
}

// recall reads what the store has kept, before anybody can ask for it: without its record a closed node would be open.
func (s *Service) recall(ctx context.Context) error {
	if err := s.nodes.load(ctx); err != nil {
		return fmt.Errorf("xmpp: reading the nodes of %s: %w", s.domain, err)
	}
	if err := s.admins.load(ctx, s.log); err != nil {
		return fmt.Errorf("xmpp: reading the admins of %s: %w", s.domain, err)
	}
	if err := s.restore(ctx); err != nil {
		return fmt.Errorf("xmpp: reading the subscriptions of %s: %w", s.domain, err)
	}
	s.recalled.Store(true)
	return nil
}
