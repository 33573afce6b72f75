package auth

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// A set from an address is fetched at the start, then every Refresh, and when a token names a key that it does not have:
// that is how a new key is met before its hour. Such a fetch begins at most every MinInterval, and none for a kid that
// the last one did not bring, so that tokens made up by strangers cost the address's owner nothing.
//
// When a fetch fails the last good set stays, for as long as it takes: the failure is logged and counted, and the next
// attempt comes sooner.

const (
	maxUnknown = 1000 // kids remembered
	unknownFor = 5    // times MinInterval
)

// start makes ready for run: whoever comes before the first fetch has ended waits for it.
func (s *keySet) start(logger *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logger, s.running = logger, true
	if s.current.Load() == nil {
		s.round = make(chan struct{})
	}
}

// run fetches until ctx ends.
func (s *keySet) run(ctx context.Context) {
	defer s.end()
	pause := time.Duration(0)
	if now := s.current.Load(); now != nil { // adopted
		pause = jitter(max(0, s.o.Refresh-time.Since(now.at)))
	}
	wait := time.NewTimer(pause)
	defer wait.Stop()
	pause = s.o.MinInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		case <-s.wake:
		}
		s.begin()
		if s.renew(ctx) {
			pause = s.o.MinInterval
			wait.Reset(jitter(s.o.Refresh))
		} else {
			wait.Reset(jitter(pause))
			pause = min(2*pause, s.o.Refresh)
		}
		s.over()
	}
}

// renew fetches once.
func (s *keySet) renew(ctx context.Context) bool {
	text, err := s.fetch(ctx)
	var keys []Key
	var skipped []string
	if err == nil {
		keys, skipped, err = ParseJWKS(text, s.o.Algorithms)
	}
	if err == nil {
		err = s.put(keys, time.Now())
	}
	set := slog.String("set", s.o.Name)
	if err != nil {
		if ctx.Err() == nil {
			s.failed.Add(1)
			s.logger.WarnContext(ctx, "fetching a JWK set failed; the last one stays", set, slog.Any("error", err))
		}
		return false
	}
	s.fetched.Add(1)
	for _, why := range skipped {
		s.logger.WarnContext(ctx, "a key of a JWK set is not used", set, slog.String("key", why))
	}
	if len(keys) == 0 {
		s.logger.WarnContext(ctx, "a JWK set has no key that can be used, so none of its tokens is taken", set)
	}
	return true
}

// await waits for a fetch that may bring a key, if one may begin or has begun.
func (s *keySet) await(ctx context.Context, kid string) {
	if s.o.URL == "" || len(kid) > maxKid {
		return
	}
	round := s.join(kid)
	if round == nil {
		return
	}
	patience := time.NewTimer(s.o.Timeout)
	defer patience.Stop()
	select {
	case <-round:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// join gives the end of the fetch to wait for; nil if there is none, and none may begin.
func (s *keySet) join(kid string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.current.Load() != nil && now.Before(s.unknown[kid]) {
		return nil
	}
	if s.round == nil {
		if !s.running || !s.began.IsZero() && now.Before(s.began.Add(s.o.MinInterval)) {
			return nil
		}
		s.round = make(chan struct{})
		s.wake <- struct{}{} // there is room: it is empty while there is no round
	}
	if len(s.unknown) >= maxUnknown {
		clear(s.unknown)
	}
	s.unknown[kid] = now.Add(unknownFor * s.o.MinInterval)
	return s.round
}

// begin notes that a fetch begins.
func (s *keySet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
	if s.round == nil {
		s.round = make(chan struct{})
	}
}

// over lets those go who wait for it.
func (s *keySet) over() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.wake: // it was wanted when it was about to begin anyway
	default:
	}
	if s.round != nil {
		close(s.round)
		s.round = nil
	}
}

func (s *keySet) end() {
	s.mu.Lock()
	s.running = false
	s.mu.Unlock()
	s.over()
}

// jitter is d give or take a tenth, so that many servers do not all come at once.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // chance spreads load here; nothing is secret
}
