package broker

import (
	"context"
	"errors"
)

// SubscribeOptions asks for messages published before the subscription. The zero value asks for none.
type SubscribeOptions struct {
	// Since resumes: first every kept message after this position, then the live ones, none missing and none twice.
	// Only for a pattern that is a channel.
	Since Position

	// Last asks for the newest so many kept messages before the live ones; negative: for all that are kept. Not
	// together with Since. With a wildcard it is so many of each channel that the pattern matches.
	Last int

	// Each says for single channels of the pattern where they begin; for them Since and Last do not count. So a reader
	// of a wildcard resumes: what it had of each channel goes here, and Last: -1 brings the channels that it has not seen.
	Each map[Channel]Start

	// BestEffort makes a subscription even when a position is lost: Subscribed.Recovered is then false, and what is
	// kept is replayed. Without it a lost position is an error of kind HistoryLost, and there is no subscription.
	BestEffort bool

	// IfNew leaves a subscription that the session has as it is: nothing is replayed for it again.
	IfNew bool

	// Mark has Subscribed.From tell where a new subscription to a channel begins, even if it begins with what comes next.
	Mark bool
}

// Start says with which message of a channel a subscription begins. The zero Start is the next one to be published.
type Start struct {
	Since  Position // behind this one
	Number int64    // or behind the one of which this is the Position.Number
	Last   int      // or with the newest so many; negative: with all that are kept
}

// Subscription is one of several that are made together.
type Subscription struct {
	Pattern Pattern
	SubscribeOptions
}

// Subscribed tells what a subscription began with.
type Subscribed struct {
	Already   bool     // the session had this subscription
	Recovered bool     // positions were asked for, and nothing after them is missing
	Replayed  int      // messages queued from history
	Position  Position // of the channel when a replay went live; zero if no replay was asked for, or of a wildcard
	From      Position // of a channel: all that comes after it is delivered. Zero if that is all there ever was, or not known
}

// Subscribe adds the pattern to what the session is given. Subscribing again is no error: who is asked about once
// more, and a replay, if wanted, happens again, unless IfNew.
//
// It asks for ActSubscribe, and with a replay for ActRead too: a position is text, and whoever has seen one can make
// up an earlier one. When it returns, every message accepted from then on is queued. The subscription ends with who's
// credential, unless one needs none for it by then; of several grants the longest counts. Errors, which leave everything as it was: Invalid (also: a rule
// keeps no history for some channels of a wildcard), the Authorizer's, RateLimited (too many subscriptions),
// HistoryLost, TooLarge (the replay does not fit the queue, or has more channels than Options.MaxReplayChannels),
// Unavailable (more was published meanwhile than the queue holds), Conflict (a replay of this session is under way),
// Closed. Error.About names the channel or pattern at fault where it is not the one asked for.
func (s *Session) Subscribe(ctx context.Context, who Principal, p Pattern, o SubscribeOptions) (Subscribed, error) {
	done, err := s.SubscribeAll(ctx, who, []Subscription{{p, o}})
	if e, ok := errors.AsType[*BatchError](err); ok {
		return Subscribed{}, e.Err
	}
	return done[0], nil
}

// SubscribeAll is Subscribe for several patterns: all or none. A channel that several of them match is replayed
// once, from where the most is asked for. The error is a *BatchError.
func (s *Session) SubscribeAll(ctx context.Context, who Principal, all []Subscription) ([]Subscribed, error) {
	wants := make([]want, len(all))
	for i := range all {
		wants[i] = want{Subscription: &all[i]}
		if err := s.broker.admit(ctx, who, wants[i]); err != nil {
			return nil, &BatchError{i, err}
		}
	}
	if err := s.mark(ctx, wants); err != nil {
		return nil, err
	}
	h, err := s.join(wants, who)
	if err != nil {
		return nil, err
	}
	for _, w := range wants {
		if !w.already {
			s.broker.index.add(w.sub)
			s.broker.event(Event{Type: EventSubscribed, Session: s, Pattern: w.Pattern})
		}
	}
	done := make([]Subscribed, len(wants))
	for i, w := range wants {
		done[i].Already = w.already
		if !w.already {
			done[i].From = w.mark
		}
	}
	if h != nil {
		if err := s.replay(ctx, h, wants, done); err != nil {
			s.abandon(h, wants)
			return nil, err
		}
	}
	return done, nil
}

// want is a Subscription on its way.
type want struct {
	*Subscription
	mark    Position // where it begins, if it wants to know
	marked  bool     // what is behind the mark is to be replayed
	sub     *subscription
	already bool // the session had it
	replays bool
}

func (o *SubscribeOptions) replays() bool {
	if !o.Since.IsZero() || o.Last != 0 {
		return true
	}
	for _, st := range o.Each {
		if st != (Start{}) {
			return true
		}
	}
	return false
}

// admit checks one of them and asks the Authorizer.
func (b *Broker) admit(ctx context.Context, who Principal, w want) error {
	if w.Pattern.Reserved() {
		return Errorf(Forbidden, "%s belongs to Bayeux and cannot be subscribed to", w.Pattern)
	}
	_, isChannel := w.Pattern.Channel()
	most := b.limits.Load().MaxReplayChannels
	switch {
	case !w.Since.IsZero() && !isChannel:
		return Errorf(Invalid, "%s has a wildcard: a position is one channel's", w.Pattern)
	case !w.Since.IsZero() && w.Last != 0:
		return Errorf(Invalid, "a replay begins at a position or with the last messages, not both")
	case len(w.Each) > most:
		return Errorf(TooLarge, "a replay of %s from %d positions is more than the limit of %d channels", w.Pattern, len(w.Each), most)
	}
	for c := range w.Each {
		if !w.Pattern.Matches(c) {
			return Errorf(Invalid, "%s is no channel of %s", c, w.Pattern)
		}
	}
	if err := b.authorize(ctx, who, ActSubscribe, w.Pattern); err != nil {
		return err
	}
	if !w.SubscribeOptions.replays() {
		return nil
	}
	if err := b.authorize(ctx, who, ActRead, w.Pattern); err != nil {
		return err
	}
	if none, gap := b.opts.NoHistory(w.Pattern); gap && !isChannel && w.Last != 0 && !w.BestEffort {
		err := Errorf(Invalid, "%s cannot be replayed: the rules keep no history for %s", w.Pattern, none)
		err.About = none
		return err
	}
	return nil
}

// join makes or finds the subscriptions, all or none. If one of them is to be replayed, it and the new ones share a hold.
func (s *Session) join(wants []want, who Principal) (*hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayJoin(wants); err != nil {
		return nil, err
	}
	var h *hold
	kept := who.keep()
	for i := range wants {
		w := &wants[i]
		if w.sub = s.subs.get(w.Pattern); w.sub != nil {
			w.already = true
			w.sub.who = longer(w.sub.who, kept)
		} else {
			w.sub = &subscription{session: s, pattern: w.Pattern, place: pending, who: kept}
			if !who.Anonymous() {
				w.sub.subject = who.Subject
			}
			s.subs.add(w.sub)
			s.broker.subscriptions.Add(1)
		}
		if w.replays = w.wantsReplay(w.already); w.replays && h == nil {
			h = &hold{}
		}
	}
	if h != nil {
		s.replaying = true
		for _, w := range wants {
			if w.replays || !w.already {
				w.sub.hold = h
			}
		}
	}
	if !who.Expires.IsZero() {
		s.armLapse()
	}
	return h, nil
}

func (w *want) wantsReplay(already bool) bool {
	return w.SubscribeOptions.replays() && !(already && w.IfNew) || w.marked && !already
}

// mayJoin tells why not; s.mu is held. The error is a *BatchError.
func (s *Session) mayJoin(wants []want) error {
	if s.ended != nil {
		return &BatchError{0, s.ended}
	}
	var fresh map[Pattern]bool
	for i, w := range wants {
		already := s.subs.get(w.Pattern) != nil
		if s.replaying && w.wantsReplay(already) {
			return &BatchError{i, Errorf(Conflict, "%s cannot be replayed now: the session has a replay under way", w.Pattern)}
		}
		if already || fresh[w.Pattern] {
			continue
		}
		if most := s.opts.MaxSubscriptions; most > 0 && s.subs.len()+len(fresh) >= most {
			return &BatchError{i, Errorf(RateLimited, "the session would have more than %d subscriptions, which is the most it may have", most)}
		}
		if len(wants) > 1 {
			if fresh == nil {
				fresh = map[Pattern]bool{}
			}
			fresh[w.Pattern] = true
		}
	}
	return nil
}

// Unsubscribe takes the pattern off, and tells whether the session had it. What was queued for it stays queued.
func (s *Session) Unsubscribe(p Pattern) bool {
	s.mu.Lock()
	sub := s.subs.get(p)
	s.mu.Unlock()
	return sub != nil && s.leave(p, sub)
}

// leave ends the subscription sub to p, if it is still the session's.
func (s *Session) leave(p Pattern, sub *subscription) bool {
	return s.leaveIf(p, sub, func() bool { return true })
}

// leaveIf is leave if ok says so; it is called with mu held.
func (s *Session) leaveIf(p Pattern, sub *subscription, ok func() bool) bool {
	s.mu.Lock()
	mine := s.subs.get(p) == sub && ok()
	if mine {
		s.subs.remove(p)
		sub.left = true
	}
	s.mu.Unlock()
	if mine {
		s.broker.index.remove(sub)
		s.broker.subscriptions.Add(-1)
		s.broker.event(Event{Type: EventUnsubscribed, Session: s, Pattern: p})
	}
	return mine
}
