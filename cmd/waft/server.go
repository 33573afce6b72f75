package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"waft/broker"
	"waft/broker/disk"
	"waft/broker/outbox"
	"waft/broker/outbox/park"
	"waft/httppub"
)

// server is a running waft. Made by newServer, it listens and does not answer yet; start, then stop.
type server struct {
	// static
	logger          *slog.Logger
	wheel           *broker.Wheel
	outbox          *outbox.Outbox
	lot             *park.Lot
	events          *eventLog
	proxies         proxies
	proxyStats      proxyStats
	certificates    *certificates // nil: plain HTTP
	disk            *disk.DB      // nil: everything is in memory
	control         *control      // nil: there is none
	realms          []*realm
	public, private net.Listener
	web, admin      *http.Server
	plain           net.Listener // of the redirect; nil: none
	redirect        *http.Server // likewise
	ready           readiness
	failed          chan error        // of a listener; capacity for all
	reloads         chan chan<- error // who asks for a reload by stanza

	settings *settings // in effect; owned by whoever calls reload

	serving sync.WaitGroup // the listeners' goroutines
}

// newServer makes the parts and opens the listeners. On an error nothing is left running.
func newServer(ctx context.Context, settings *settings, env environment, logger *slog.Logger) (_ *server, err error) {
	s := &server{logger: logger, settings: settings, failed: make(chan error, 3), reloads: make(chan chan<- error)}
	if s.proxies, err = parseProxies(settings.Proxies); err != nil {
		return nil, err
	}
	if s.certificates, err = newCertificates(&settings.TLS, settings.dir, logger); err != nil {
		return nil, err
	}
	// The addresses before the rest: that one is taken is the likeliest failure, and nothing else has to be undone for it.
	if err = s.listen(ctx, settings); err != nil {
		s.closeListeners()
		return nil, err
	}
	s.wheel = broker.NewWheel(0)
	s.outbox = outbox.New(outbox.Options{
		Shards: settings.Outbox.Shards, WriteTimeout: settings.Outbox.WriteTimeout.Duration, MaxPending: settings.Outbox.MaxPending,
	})
	s.lot = park.New(settings.Outbox.Shards)
	s.events = newEventLog(logger)
	defer func() {
		if err != nil {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.stop(now)
		}
	}()
	if settings.Data != "" {
		if s.disk, err = settings.Disk.open(settings.Data, logger); err != nil {
			return nil, err
		}
		s.ready.health = s.disk.Health
		if s.control, err = newControl(ctx, settings.Data, s.disk, logger); err != nil {
			logger.WarnContext(ctx, "the socket in the data directory cannot be opened: no backups while the server runs", slog.Any("error", err))
			err = nil
		}
		logger.InfoContext(ctx, "histories and state are kept", slog.String("data", settings.Data), slog.String("fsync", settings.Disk.Fsync))
	}
	for i := range settings.Realms {
		r, err := s.newRealm(&settings.Realms[i], env, settings.dir)
		if err != nil {
			return nil, err
		}
		s.realms = append(s.realms, r)
	}
	return s, s.newHTTP(settings)
}

// newHTTP makes the HTTP servers of the two listeners.
func (s *server) newHTTP(settings *settings) error {
	byID := map[string]*realm{}
	route := &router{realms: map[string]http.Handler{}, readers: map[string]http.Handler{}, events: map[string]http.Handler{}, sockets: map[string]http.Handler{}, hosts: map[string]http.Handler{}}
	var pages []string // that may read one of the realms
	for i, r := range s.realms {
		byID[r.id] = r
		route.realms[r.id] = r.bayeux
		route.readers[r.id] = r.reader
		route.events[r.id] = r.events
		route.sockets[r.id] = r.sockets
		for _, host := range settings.Realms[i].Hosts {
			route.hosts[host] = r.bayeux
		}
		pages = append(pages, settings.Realms[i].HTTP.Origins...)
	}
	var err error
	if route.document, err = httppub.NewDocument(pages); err != nil {
		return err
	}
	route.publish, err = httppub.New(httppub.Options{
		Realm: func(id string) (httppub.Realm, bool) {
			r, ok := byID[id]
			if !ok {
				return httppub.Realm{}, false
			}
			return r.publisher(), true
		},
		MaxBody: settings.Publish.MaxBody, MaxItems: settings.Publish.MaxItems,
		MaxStream: settings.Publish.MaxBulk, LineTimeout: settings.HTTP.BodyTimeout.Duration, ClientAddress: s.proxies.client, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	metrics, err := newMetrics(s)
	if err != nil {
		return err
	}
	s.web = newWeb(settings, s.proxies.named(route), s.certificates, s.logger)
	s.admin = newSide(newAdmin(&s.ready, metrics, s.realms), s.logger, slog.LevelWarn, 0) // a profile takes as long as it is asked to
	if s.plain != nil {
		s.redirect = newSide(s.certificates.plainHandler(s.public.Addr()), s.logger, slog.LevelDebug, sideTimeout)
	}
	return nil
}

// start serves. It does not block; failed tells of a listener that gave up.
func (s *server) start() {
	for _, part := range []struct {
		http *http.Server
		on   net.Listener
	}{{s.web, s.public}, {s.admin, s.private}, {s.redirect, s.plain}} {
		if part.http == nil {
			continue
		}
		s.serving.Go(func() {
			if err := serveOn(part.http, part.on); !errors.Is(err, http.ErrServerClosed) {
				s.failed <- err
			}
		})
	}
	for _, r := range s.realms {
		r.access.verifier.Load().Start(s.logger.With(slog.String("realm", r.id)), nil)
		r.startLinks(s.logger)
	}
	s.ready.ready.Store(true)
}

// stop ends everything, in the order in which it hurts least: load balancers look away, nobody new is let in, clients
// are told and go, requests under way are finished, the brokers end. What is not done when ctx ends is cut off, and
// ctx's error is returned.
func (s *server) stop(ctx context.Context) error {
	if s.ready.ready.Swap(false) {
		s.logger.InfoContext(ctx, "stopping")
	}
	failed := make([]error, len(s.realms)+1)
	var doors sync.WaitGroup
	for i, r := range s.realms {
		doors.Go(func() { failed[i] = r.stopDoors(ctx) })
	}
	if s.web != nil {
		// Shutdown closes the listener at once, and waits for requests, of which held polls end with the doors.
		failed[len(s.realms)] = s.web.Shutdown(ctx)
	}
	doors.Wait()
	for _, r := range s.realms {
		failed = append(failed, r.broker.Shutdown(ctx))
		r.access.verifier.Load().Close()
	}
	if s.control != nil {
		s.control.close(s.settings.Data)
	}
	if s.disk != nil {
		failed = append(failed, s.disk.Close())
	}
	for _, part := range []*http.Server{s.web, s.admin, s.redirect} {
		if part != nil {
			_ = part.Close()
		}
	}
	s.closeListeners()
	s.serving.Wait()
	s.outbox.Close()
	s.lot.Close()
	s.wheel.Close()
	s.events.close()
	return firstError(failed...)
}
