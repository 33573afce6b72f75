package xmpp

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// shelf keeps the subscriptions of bare JIDs in the Store, a record for each. One of a full JID lasts as long as that
// client is there, and is in memory only.
type shelf struct {
	// Static.
	store  broker.Store
	prefix string
	seed   maphash.Seed

	// locks are held, one by user, while his subscriptions change in memory and in the store, so that both end up alike
	// whoever changes them: he or the owner of a node. Taken before any lock of the audience.
	locks [64]sync.Mutex
}

// shelved is a subscription's record.
type shelved struct {
	Version int            `json:"v"`
	JID     string         `json:"jid"`
	Pattern broker.Pattern `json:"pattern"`
	Slash   bool           `json:"slash,omitempty"`
	Pending bool           `json:"pending,omitempty"`
	Options preferences    `json:"options,omitzero"`
}

const shelvedVersion = 1

func newShelf(store broker.Store, domain string) *shelf {
	return &shelf{store: store, prefix: "xmpp/" + domain + "/subscription/", seed: maphash.MakeSeed()}
}

// lock keeps others from changing a user's subscriptions until unlock is called.
func (h *shelf) lock(user string) (unlock func()) {
	mu := &h.locks[maphash.String(h.seed, user)%uint64(len(h.locks))]
	mu.Lock()
	return mu.Unlock
}

// key of a record. A bare JID has no space in it.
func (h *shelf) key(jid string, p broker.Pattern) string { return h.prefix + jid + " " + string(p) }

// keep writes a subscription, over what there was.
func (h *shelf) keep(ctx context.Context, sub shelved) error {
	sub.Version = shelvedVersion
	value, err := json.Marshal(sub)
	if err != nil {
		return fmt.Errorf("xmpp: writing the record of a subscription: %w", err)
	}
	r := broker.Record{Key: h.key(sub.JID, sub.Pattern), Value: value}
	for try := 1; ; try++ {
		_, err = h.store.Put(ctx, r)
		if err == nil || broker.KindOf(err) != broker.Conflict || try == maxTries {
			return err
		}
		old, err := h.store.Get(ctx, r.Key)
		if err != nil && broker.KindOf(err) != broker.NotFound {
			return err
		}
		r.Revision = old.Revision
	}
}

// forget removes a subscription and tells whether there was one.
func (h *shelf) forget(ctx context.Context, jid string, p broker.Pattern) (bool, error) {
	err := h.store.Delete(ctx, h.key(jid, p))
	if err != nil && broker.KindOf(err) == broker.NotFound {
		return false, nil
	}
	return err == nil, err
}

// has tells whether a subscription is in the store. When the store cannot say, it is not.
func (h *shelf) has(ctx context.Context, jid string, p broker.Pattern) bool {
	_, err := h.store.Get(ctx, h.key(jid, p))
	return err == nil
}

// all reads the subscriptions of a user, or with "" of everybody. Those that cannot be read are left where they are.
func (h *shelf) all(ctx context.Context, user string, log *slog.Logger) (all []shelved, err error) {
	prefix := h.prefix
	if user != "" {
		prefix += user + " "
	}
	err = h.store.Scan(ctx, prefix, func(r broker.Record) bool {
		var sub shelved
		if err := json.Unmarshal(r.Value, &sub); err != nil || sub.Version != shelvedVersion {
			log.WarnContext(ctx, "the record of an XMPP subscription cannot be read", slog.String("key", r.Key), slog.Int("version", sub.Version), slog.Any("error", err))
			return true
		}
		all = append(all, sub)
		return true
	})
	return all, err
}

// restore brings back what was subscribed to when the service ran last, with the rights that its users have now. What the
// rules or the limits do not allow any more waits in the store for a time when they do.
func (s *Service) restore(ctx context.Context) error {
	all, err := s.shelf.all(ctx, "", s.log)
	if err != nil {
		return err
	}
	refused := 0
	for _, sub := range all {
		back, err := s.bring(ctx, sub)
		if err != nil {
			refused++
			s.log.DebugContext(ctx, "an XMPP subscription was not restored", slog.String("pattern", string(sub.Pattern)), slog.Any("error", err))
			continue
		}
		if back != nil && !s.lasting(back, sub.Options) { // its node has become one of temporary ones
			if _, err := s.delist(ctx, back.jid, back.pattern); err != nil {
				return err
			}
		}
	}
	if refused > 0 {
		s.log.WarnContext(ctx, "XMPP subscriptions were not restored: the rules or the limits do not allow them any more",
			slog.Int("refused", refused), slog.Int("restored", len(all)-refused))
	}
	return ctx.Err()
}

// bring makes a record a subscription again; nil if there is one. Errors: the audience's, the broker's.
func (s *Service) bring(ctx context.Context, sub shelved) (back *subscription, err error) {
	j, err := jid.Parse(sub.JID)
	if err != nil {
		return nil, err
	}
	w := wish{sub.Slash, &sub.Options}
	if sub.Pending {
		back, err = s.audience.petition(j, sub.Pattern, w, s.opts.MaxPending)
	} else {
		back, _, err = s.audience.subscribe(ctx, s.opts.Principal(j.Bare().String()), j, sub.Pattern, w)
	}
	if err == nil && back != nil {
		s.setPreferences(back, sub.Options)
	}
	return back, err
}

// enlist makes j a subscriber of p, or changes an old subscription as wished. fresh is the subscription if it is new. Errors:
// the audience's, the store's; then nothing has changed.
func (s *Service) enlist(ctx context.Context, who broker.Principal, j jid.JID, p broker.Pattern, w wish) (fresh *subscription, err error) {
	defer s.shelf.lock(j.Bare().String())()
	fresh, changed, err := s.audience.subscribe(ctx, who, j, p, w)
	if err != nil {
		return nil, err
	}
	sub := s.audience.get(j.String(), p)
	prefs := sub.preferences()
	if w.prefs != nil {
		changed, prefs = changed || prefs != *w.prefs, *w.prefs
	}
	if !changed {
		return nil, nil
	}
	if err := s.record(ctx, sub, prefs); err != nil {
		if fresh != nil {
			s.audience.unsubscribe(j.String(), p)
		}
		return nil, err
	}
	s.setPreferences(sub, prefs)
	return fresh, nil
}

// record brings the store in line with what a subscription is to be; its user's lock is held. One that does not last has no
// record.
func (s *Service) record(ctx context.Context, sub *subscription, prefs preferences) error {
	switch {
	case sub.jid != sub.user:
		return nil
	case !s.lasting(sub, prefs):
		_, err := s.shelf.forget(ctx, sub.jid, sub.pattern)
		return err
	}
	return s.shelf.keep(ctx, shelved{JID: sub.jid, Pattern: sub.pattern, Slash: sub.spelt(), Pending: sub.pending, Options: prefs})
}

// delist ends a subscription and tells whether there was one. Errors: the store's; then nothing has changed.
func (s *Service) delist(ctx context.Context, jid string, p broker.Pattern) (was bool, err error) {
	defer s.shelf.lock(bare(jid))()
	if jid == bare(jid) {
		if was, err = s.shelf.forget(ctx, jid, p); err != nil {
			return false, err
		}
	}
	return s.audience.unsubscribe(jid, p) || was, nil
}

// dropAll ends all subscriptions of exactly this JID, whose address is gone. What the store does not let go comes back
// when the service starts the next time, and bounces again.
func (s *Service) dropAll(ctx context.Context, jid string) {
	defer s.shelf.lock(bare(jid))()
	ended := s.audience.drop(jid)
	s.count.ended.Add(uint64(len(ended)))
	for _, sub := range ended {
		s.tellOwners(s.nodes.get(broker.Channel(sub.pattern)), sub, pubsub.SubNone)
	}
	if jid != bare(jid) {
		return
	}
	for _, sub := range ended {
		if _, err := s.shelf.forget(ctx, jid, sub.pattern); err != nil {
			s.log.WarnContext(ctx, "the record of an ended XMPP subscription could not be removed", slog.Any("error", err))
		}
	}
}
