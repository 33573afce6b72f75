package xmpp

import (
	"context"
	"log/slog"
	"strings"

	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// Recheck asks the rules again about all subscriptions, and gives how many they refuse now: these have no events any more, and
// whose they were is told. Those of bare JIDs keep their records, as over a restart, and come back with a later Recheck
// that finds them allowed; that is told too. It is for rules that have changed. Before Run has read the store it does
// nothing.
func (s *Service) Recheck(ctx context.Context) (ended int) {
	if !s.recalled.Load() {
		return 0
	}
	ended = s.suspend(ctx, s.audience.every())
	s.resumeAll(ctx, "")
	return ended
}

// recheckUser is Recheck for one user, whose rights have changed.
func (s *Service) recheckUser(ctx context.Context, user string) {
	s.suspend(ctx, s.audience.byUser(user))
	s.resumeAll(ctx, user)
}

// suspend ends those of the subscriptions that the rules refuse. One that is pending opens nothing: the rules are asked when an
// owner says yes.
func (s *Service) suspend(ctx context.Context, subs []*subscription) (ended int) {
	for _, sub := range subs {
		if sub.pending || !s.suspended(ctx, sub) {
			continue
		}
		ended++
		s.count.ended.Add(1)
		c := broker.Channel(sub.pattern)
		l := s.nodes.get(c)
		s.announceState(c, l, []*subscription{sub}, pubsub.SubNone)
		s.tellOwners(l, sub, pubsub.SubNone)
	}
	return ended
}

// suspended ends one subscription in memory, if the rules refuse it.
func (s *Service) suspended(ctx context.Context, sub *subscription) bool {
	defer s.shelf.lock(sub.user)()
	err := s.broker.May(ctx, s.opts.Principal(sub.user), broker.ActSubscribe, sub.pattern)
	if k := broker.KindOf(err); err == nil || k != broker.Forbidden && k != broker.Unauthenticated {
		return false
	}
	return !sub.isOver() && s.audience.unsubscribe(sub.jid, sub.pattern)
}

// resumeAll brings back what is in the store of a user, or with "" of all, and not in memory.
func (s *Service) resumeAll(ctx context.Context, user string) {
	all, err := s.shelf.all(ctx, user, s.log)
	if err != nil {
		s.log.WarnContext(ctx, "the records of XMPP subscriptions could not be read again", slog.Any("error", err))
		return
	}
	for _, sub := range all {
		back := s.resumed(ctx, sub)
		if back == nil {
			continue
		}
		c := broker.Channel(back.pattern)
		l := s.nodes.get(c)
		s.announceState(c, l, []*subscription{back}, back.state())
		if !back.pending {
			s.tellOwners(l, back, back.state())
		}
	}
}

// resumed brings one back, unless its user has ended it meanwhile, or the rules or limits still refuse it.
func (s *Service) resumed(ctx context.Context, sub shelved) *subscription {
	user, _, _ := strings.Cut(sub.JID, "/")
	defer s.shelf.lock(user)()
	if s.audience.get(sub.JID, sub.Pattern) != nil || !s.shelf.has(ctx, sub.JID, sub.Pattern) {
		return nil
	}
	back, err := s.bring(ctx, sub)
	if err != nil {
		s.log.DebugContext(ctx, "an XMPP subscription was not restored", slog.String("pattern", string(sub.Pattern)), slog.Any("error", err))
		return nil
	}
	return back
}
