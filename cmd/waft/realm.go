package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"waft/bayeux"
	"waft/broker"
	"waft/broker/presence"
	"waft/httppub"
	"waft/httppub/sse"
	"waft/httppub/ws"
	"waft/xmpp"
)

// realm is one tenant at work: its broker, and the doors that are its own.
type realm struct {
	// static
	id       string
	access   access
	broker   *broker.Broker
	presence *presence.Tracker // nil: none
	bayeux   *bayeux.Handler
	damper   *broker.Damper // of bad tokens over HTTP
	intake   *httppub.Intake
	reader   *httppub.Reader
	events   *sse.Handler
	sockets  *ws.Handler
	links    []*xmppLink

	stopLinks context.CancelFunc // nil until startLinks
	running   sync.WaitGroup     // the links
}

// xmppLink is one link to an XMPP server.
type xmppLink struct {
	domain  string
	service *xmpp.Service
}

// newRealm makes what r says. The settings are complete and valid; an error is of the world (or a fault of ours).
func (s *server) newRealm(r *realmSettings, env environment, dir string) (*realm, error) {
	t := &realm{id: r.ID}
	if err := t.build(s, r, env, dir); err != nil {
		return nil, fmt.Errorf("realm %s: %w", r.ID, err)
	}
	return t, nil
}

func (t *realm) build(s *server, r *realmSettings, env environment, dir string) error {
	logger := s.logger.With(slog.String("realm", r.ID))
	rules, err := r.rules()
	if err != nil {
		return err
	}
	verifier, err := r.verifier(env, dir)
	if err != nil {
		return err
	}
	mint, err := r.mint(env, dir)
	if err != nil {
		return err
	}
	if t.presence, err = r.Presence.tracker(); err != nil {
		return err
	}
	t.access.rules.Store(rules)
	t.access.verifier.Store(verifier)
	t.access.minter.Store(&mint)
	authorizer, onEvent := broker.Authorizer(&t.access), s.events.of(r.ID)
	if t.presence != nil {
		authorizer, onEvent = t.presence.Authorizer(authorizer), observers(onEvent, t.presence.Observe)
	}
	engine, store, err := s.engine(r)
	if err != nil {
		return err
	}
	limits := r.Limits.broker()
	t.broker, err = broker.New(broker.Options{
		Authorizer: authorizer, Retention: t.access.Retention, NoHistory: t.access.NoHistory,
		Engine:     engine,
		MaxMessage: limits.MaxMessage, MaxSessions: limits.MaxSessions, Publishes: limits.Publishes, MaxReplayChannels: limits.MaxReplayChannels,
		OnEvent: onEvent, Wheel: s.wheel,
	})
	if err != nil {
		return err
	}
	if t.presence != nil {
		t.presence.Start(t.broker)
	}
	door := r.Bayeux.options(t.broker, &t.access, s.outbox, logger, dir)
	door.ClientAddress, door.ReplayID, door.Lot = s.proxies.client, t.access.ReplayID, s.lot
	door.PureFront = true // bodiesWithin, proxies.named and the router
	if t.bayeux, err = bayeux.New(door); err != nil {
		return err
	}
	if t.damper, err = r.HTTP.damper(); err != nil {
		return err
	}
	window := r.Memory.Window.Duration
	if s.disk != nil {
		window = s.settings.Disk.Window.Duration
	}
	if t.intake, err = r.Publish.intake(window, logger); err != nil {
		return err
	}
	if t.reader, err = r.HTTP.reader(t.broker, &t.access, t.damper, s.proxies, logger); err != nil {
		return err
	}
	events := r.Events.options(t.broker, &t.access, s.outbox, logger)
	events.Origins, events.ClientAddress, events.Damper, events.Lot = r.HTTP.Origins, s.proxies.client, t.damper, s.lot
	sockets := r.WebSocket.options(t.broker, &t.access, s.outbox, logger)
	sockets.Origins, sockets.ClientAddress, sockets.Damper, sockets.Lot = r.HTTP.Origins, s.proxies.client, t.damper, s.lot
	if s.disk == nil {
		events.Generation = rand.Uint32() //nolint:gosec // G404: it tells this process from the last, whose histories are gone
		sockets.Generation = events.Generation
	}
	if t.events, err = sse.New(events); err != nil {
		return err
	}
	if t.sockets, err = ws.New(sockets); err != nil {
		return err
	}
	for i := range r.XMPP {
		l, err := newXMPPLink(&r.XMPP[i], t, s.askReload, store, logger, env, dir)
		if err != nil {
			return err
		}
		t.links = append(t.links, l)
	}
	return nil
}

// engine makes what keeps the realm's messages, and as lastingly its records.
func (s *server) engine(r *realmSettings) (broker.Engine, broker.Store, error) {
	if s.disk == nil {
		return broker.NewMemoryEngine(broker.MemoryOptions{
			MaxChannels: r.Memory.MaxChannels, MaxBytes: r.Memory.MaxBytes, Window: r.Memory.Window.Duration,
			MaxKeys: r.Memory.MaxKeys, Sweep: r.Memory.Sweep.Duration,
		}), broker.NewMemoryStore(), nil
	}
	e, err := s.disk.Engine(r.ID, r.Disk.options())
	if err != nil {
		return nil, nil, err
	}
	return e, s.disk.Store(r.ID), nil
}

func newXMPPLink(x *xmppSettings, t *realm, reload func(context.Context) error, store broker.Store, logger *slog.Logger, env environment, dir string) (*xmppLink, error) {
	users, err := x.users()
	if err != nil {
		return nil, err
	}
	key, err := x.resolve(env, dir)
	if err != nil {
		return nil, err
	}
	options := x.options(t.broker, store, users.Principal, key, logger)
	options.Authenticator, options.Mint, options.Reload = &t.access, t.access.mint, reload
	if t.presence != nil {
		options.PresenceOf = t.presence.PresenceOf
	}
	if options.Stanzas, err = x.stanzas(); err != nil {
		return nil, err
	}
	service, err := xmpp.New(options)
	return &xmppLink{x.Domain, service}, err
}

// publisher is what the publish API needs of the realm.
func (t *realm) publisher() httppub.Realm {
	r := httppub.Realm{Broker: t.broker, Authenticator: &t.access, Damper: t.damper, Intake: t.intake}
	if len(t.links) > 0 {
		r.Stanza = t.stanza
	}
	return r
}

// stanza prepares an item's XMPP message with the first link that may send it. If none may, the first says why.
func (t *realm) stanza(c broker.Channel, text string) (send func() bool, err error) {
	for _, l := range t.links {
		out, refused := l.service.Stanza(c, text)
		if refused == nil {
			return out, nil
		}
		if err == nil {
			err = refused
		}
	}
	return nil, err
}

// startLinks sets the realm's XMPP links going, each on a goroutine of its own.
func (t *realm) startLinks(logger *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	t.stopLinks = cancel
	for _, l := range t.links {
		t.running.Go(func() {
			if err := l.service.Run(ctx); err != nil && ctx.Err() == nil {
				logger.Error("the XMPP link has ended", slog.String("realm", t.id), slog.String("domain", l.domain), slog.Any("error", err))
			}
		})
	}
}

// stopDoors takes leave of the realm's clients and of its XMPP servers. The broker goes on: somebody may still be
// publishing over HTTP. The error is the first failure, or ctx's when it ends before all is done.
func (t *realm) stopDoors(ctx context.Context) error {
	if t.presence != nil {
		t.presence.Close() // so that nobody is said to leave
	}
	if t.stopLinks != nil {
		t.stopLinks()
	}
	t.reader.Shutdown()
	held := t.intake.Shutdown(ctx) // what waited is published before the clients are sent away
	var streams, sockets error
	var others sync.WaitGroup
	others.Go(func() { streams = t.events.Shutdown(ctx) })
	others.Go(func() { sockets = t.sockets.Shutdown(ctx) })
	failed := t.bayeux.Shutdown(ctx)
	others.Wait()
	failed = firstError(failed, streams, sockets, held)
	ended := make(chan struct{})
	go func() { t.running.Wait(); close(ended) }()
	select {
	case <-ended:
		return failed
	case <-ctx.Done():
		return firstError(failed, ctx.Err())
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
