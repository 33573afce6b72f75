package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"waft/auth"
	"waft/broker"
	"waft/xmpp"
)

// What SIGHUP changes: rules, keys and limits, of all realms or of none, and the certificates. Whatever else is different in the file takes a restart,
// and nothing is changed then, so that the file is never half in effect.

// access is a realm's rules and keys, which a reload replaces. It is the broker's Authorizer and the doors' Authenticator.
type access struct {
	rules    atomic.Pointer[auth.Rules]
	verifier atomic.Pointer[auth.Verifier]
	minter   atomic.Pointer[minter] // of tokens that XMPP users ask for; nil inside if there is no key
}

// Authorize implements broker.Authorizer.
func (a *access) Authorize(ctx context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	// Whoever came with a credential that has been taken back is nobody, not even where anyone may: sessions that it began end.
	if err := a.verifier.Load().Stands(who); err != nil {
		return err
	}
	return a.rules.Load().Authorize(ctx, who, act, p)
}

// Authenticate implements broker.Authenticator.
func (a *access) Authenticate(ctx context.Context, token string) (broker.Principal, error) {
	return a.verifier.Load().Authenticate(ctx, token)
}

// mint makes a token for somebody who asks, with the key that is in effect.
func (a *access) mint(who broker.Principal, t xmpp.TokenRequest) (string, error) {
	m := *a.minter.Load()
	if m == nil {
		return "", broker.Errorf(broker.Unavailable, "the realm has no key to sign a token with")
	}
	return m(who, t)
}

// Retention is what broker.Options.Retention wants.
func (a *access) Retention(c broker.Channel) broker.Retention { return a.rules.Load().Retention(c) }

// NoHistory is what broker.Options.NoHistory wants.
func (a *access) NoHistory(p broker.Pattern) (none broker.Pattern, gap bool) {
	return a.rules.Load().NoHistory(p)
}

// ReplayID is what bayeux.Options.ReplayID wants.
func (a *access) ReplayID(c broker.Channel) bool { return a.rules.Load().ReplayID(c) }

// reload puts the rules, keys, limits and certificates of next in place of those that run. On an error nothing has changed.
func (s *server) reload(ctx context.Context, next *settings, env environment) error {
	if other := fixedDifferences(s.settings, next); len(other) > 0 {
		return fmt.Errorf("only rules, keys, limits and certificates can change while waft runs; restart it for %s", strings.Join(other, ", "))
	}
	type change struct {
		rules    *auth.Rules
		verifier *auth.Verifier
		minter   minter
	}
	var changes []change
	for i := range next.Realms {
		r := &next.Realms[i]
		if old := s.settings.Realms[i]; r.keyless() {
			if !old.keyMade {
				return fmt.Errorf("realm %s: it has no key any more; restart waft, and it will make one", r.ID)
			}
			r.Keys, r.keyMade = old.Keys, true
		}
		rules, badRules := r.rules()
		verifier, badKeys := r.verifier(env, next.dir)
		mint, noKey := r.mint(env, next.dir)
		if err := errors.Join(badRules, badKeys, noKey); err != nil {
			return fmt.Errorf("realm %s: %w", r.ID, err)
		}
		changes = append(changes, change{rules, verifier, mint})
	}
	files, err := next.TLS.loadFiles(next.dir)
	if err != nil {
		return err
	}
	for i, c := range changes {
		r, set := s.realms[i], &next.Realms[i]
		// validate has refused what these could refuse.
		if err := errors.Join(r.broker.SetLimits(set.Limits.broker()), r.bayeux.SetLimits(set.Bayeux.limits()), r.events.SetLimits(set.Events.limits()),
			r.sockets.SetLimits(set.WebSocket.limits()), r.reader.SetLimits(set.HTTP.limits()), r.damper.SetLimit(set.HTTP.BadTokens),
			r.intake.SetLimits(set.Publish.limits())); err != nil {
			return fmt.Errorf("realm %s: %w", r.id, err)
		}
		old := r.access.verifier.Load()
		c.verifier.Start(s.logger.With(slog.String("realm", r.id)), old)
		r.access.rules.Store(c.rules)
		r.access.verifier.Store(c.verifier)
		r.access.minter.Store(&c.minter)
		old.Close()
		ended := r.broker.Recheck(ctx)
		for _, link := range r.links {
			ended += link.service.Recheck(ctx)
		}
		s.logger.InfoContext(ctx, "reloaded rules, keys and limits", slog.String("realm", r.id), slog.Int("subscriptions_ended", ended))
	}
	if s.certificates != nil {
		s.certificates.replace(files, s.logger)
		s.logger.InfoContext(ctx, "reloaded certificates", slog.Int("files", len(files)))
	}
	s.settings = next
	return nil
}

// askReload has whoever owns the settings load the configuration anew, and waits: for a command of an XMPP user. Errors:
// why nothing has changed, ctx's.
func (s *server) askReload(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case s.reloads <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fixedDifferences names the keys that are not the same in both, without those that reload replaces.
func fixedDifferences(a, b *settings) []string {
	x, y := fixed(a), fixed(b)
	return differences("", reflect.ValueOf(x), reflect.ValueOf(y))
}

// fixed is a copy without rules, keys, limits and certificates.
func fixed(s *settings) settings {
	c := *s
	if c.TLS.on() { // whether there is TLS at all is fixed
		c.TLS.Certificates = []certificateSettings{{}}
	}
	c.Realms = slices.Clone(s.Realms)
	for i := range c.Realms {
		r := &c.Realms[i]
		r.Rules, r.Keys, r.APIKeys, r.Revoked, r.Limits, r.Tokens = nil, nil, nil, nil, limitSettings{}, tokenSettings{}
		b := &r.Bayeux
		b.AddressSessions, b.AddressConnections, b.AddressHandshakes, b.AddressMessages, b.SessionMessages, b.BadTokens = 0, 0, 0, 0, 0, 0
		r.Events.MaxStreams, r.Events.AddressStreams = 0, 0
		r.WebSocket.MaxSockets, r.WebSocket.AddressSockets, r.WebSocket.SocketFrames = 0, 0, 0
		r.HTTP = realmHTTPSettings{Origins: r.HTTP.Origins}
		r.Publish.KeyMessages, r.Publish.ChannelMessages, r.Publish.AddressMessages = 0, 0, 0
	}
	return c
}

// differences lists the keys under path whose values differ.
func differences(path string, a, b reflect.Value) (keys []string) {
	switch {
	case a.Kind() == reflect.Struct && a.NumField() > 0 && tomlKeys(a.Type()):
		for _, f := range reflect.VisibleFields(a.Type()) {
			if key := tomlKey(f); key != "" {
				keys = append(keys, differences(strings.TrimPrefix(path+"."+key, "."), a.FieldByIndex(f.Index), b.FieldByIndex(f.Index))...)
			}
		}
	case a.Kind() == reflect.Slice && a.Len() == b.Len() && a.Type().Elem().Kind() == reflect.Struct:
		for i := range a.Len() {
			keys = append(keys, differences(path, a.Index(i), b.Index(i))...)
		}
	case !reflect.DeepEqual(a.Interface(), b.Interface()):
		keys = []string{path}
	}
	return keys
}

// tomlKeys tells whether t is a table.
func tomlKeys(t reflect.Type) bool { return len(tableKeys(t)) > 0 }
