package xmpp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waft/broker"
)

// admins are users whom somebody has given rights by stanza, beside those of the configuration: whoever holds a token
// that manages the realm can give its rights to a JID, and whoever manages can give his own. Nobody gives more than he has.
type admins struct {
	// Static.
	store  broker.Store
	prefix string
	most   int
	given  func(bareJID string) broker.Principal // by the configuration

	change sync.Mutex // held while the store is written; taken before mu

	mu    sync.RWMutex // guards the rest; to write it takes change as well
	byJID map[string]adminRecord
}

// adminRecord is an admin in the store.
type adminRecord struct {
	Version int            `json:"v"`
	JID     string         `json:"jid"`
	Grants  []broker.Grant `json:"grants"`
	By      string         `json:"by"`
	Added   time.Time      `json:"added"`
	Expires time.Time      `json:"expires,omitzero"` // of a token that was used: until then it is remembered

	revision uint64
}

const adminVersion = 1

func newAdmins(store broker.Store, domain string, most int, given func(string) broker.Principal) *admins {
	return &admins{store: store, prefix: "xmpp/" + domain + "/", most: most, given: given, byJID: make(map[string]adminRecord)}
}

func (a *admins) key(jid string) string { return a.prefix + "admin/" + jid }

// load reads all records. One that cannot be read gives nobody any rights.
func (a *admins) load(ctx context.Context, log *slog.Logger) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store.Scan(ctx, a.key(""), func(r broker.Record) bool {
		var rec adminRecord
		if err := json.Unmarshal(r.Value, &rec); err != nil || rec.Version != adminVersion || a.key(rec.JID) != r.Key {
			log.WarnContext(ctx, "the record of an XMPP admin cannot be read", slog.String("key", r.Key), slog.Int("version", rec.Version), slog.Any("error", err))
			return true
		}
		rec.revision = r.Revision
		a.byJID[rec.JID] = rec
		return true
	})
}

// principal is what the configuration says of a JID, and what has been given to it.
func (a *admins) principal(jid string) broker.Principal {
	who := a.given(jid)
	a.mu.RLock()
	defer a.mu.RUnlock()
	if rec, ok := a.byJID[jid]; ok {
		who.Grants = slices.Concat(who.Grants, rec.Grants)
	}
	return who
}

// add gives rights to a JID, in the place of what it was given before. Errors: errTooManyAdmins, the store's.
func (a *admins) add(ctx context.Context, jid string, grants []broker.Grant, by string) error {
	a.change.Lock()
	defer a.change.Unlock()
	a.mu.RLock()
	old, had := a.byJID[jid]
	n := len(a.byJID)
	a.mu.RUnlock()
	if !had && n >= a.most {
		return errTooManyAdmins
	}
	rec := adminRecord{Version: adminVersion, JID: jid, Grants: grants, By: by, Added: time.Now().UTC().Truncate(time.Second), revision: old.revision}
	value, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("xmpp: writing the record of an admin: %w", err)
	}
	if rec.revision, err = a.store.Put(ctx, broker.Record{Key: a.key(jid), Value: value, Revision: rec.revision}); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byJID[jid] = rec
	return nil
}

// remove takes back what add gave. Errors: errNoAdmin, the store's.
func (a *admins) remove(ctx context.Context, jid string) error {
	a.change.Lock()
	defer a.change.Unlock()
	a.mu.RLock()
	_, had := a.byJID[jid]
	a.mu.RUnlock()
	if !had {
		return errNoAdmin
	}
	if err := a.store.Delete(ctx, a.key(jid)); err != nil && broker.KindOf(err) != broker.NotFound {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byJID, jid)
	return nil
}

// list gives the admins by JID.
func (a *admins) list() []adminRecord {
	a.mu.RLock()
	defer a.mu.RUnlock()
	list := slices.Collect(maps.Values(a.byJID))
	slices.SortFunc(list, func(x, y adminRecord) int { return strings.Compare(x.JID, y.JID) })
	return list
}

// spend takes a token for the first and last time. Of the token itself nothing is kept, of its digest a record until it
// expires. Errors: errTokenSpent, the store's.
func (a *admins) spend(ctx context.Context, token string, expires time.Time) error {
	a.change.Lock()
	defer a.change.Unlock()
	prefix := a.prefix + "admin-token/"
	var past []string
	err := a.store.Scan(ctx, prefix, func(r broker.Record) bool {
		var rec adminRecord
		if json.Unmarshal(r.Value, &rec) == nil && !rec.Expires.IsZero() && rec.Expires.Before(time.Now()) {
			past = append(past, r.Key)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range past {
		if err := a.store.Delete(ctx, key); err != nil && broker.KindOf(err) != broker.NotFound {
			return err
		}
	}
	// The signature is the end of a token, and who changes a bit of it that does not count has another text of the same
	// token. So the digest is of what was signed.
	signed := token
	if i := strings.LastIndexByte(token, '.'); i >= 0 {
		signed = token[:i]
	}
	digest := sha256.Sum256([]byte(signed))
	if !expires.IsZero() {
		expires = expires.Add(time.Hour) // verifiers take a token a little longer than it says
	}
	value, err := json.Marshal(adminRecord{Version: adminVersion, Expires: expires})
	if err != nil {
		return fmt.Errorf("xmpp: writing the record of a token: %w", err)
	}
	_, err = a.store.Put(ctx, broker.Record{Key: prefix + hex.EncodeToString(digest[:]), Value: value})
	if err != nil && broker.KindOf(err) == broker.Conflict {
		return errTokenSpent
	}
	return err
}

// adminCommands say who is an admin.
var adminCommands = []*command{{
	name: "admins", title: "List who was made an admin by stanza", admin: true, do: (*Service).apiAdmins,
}, {
	name: "admin-add", title: "Make somebody an admin", admin: true, do: (*Service).apiAdminAdd,
	open: func(c *call) bool { return c.word("token") != "" }, // which is to be proven yet
	stages: [][]param{{
		{name: "jid", label: "The JID; your own if empty"},
		{name: "token", label: "Token that manages the realm, if you do not", typ: "text-private"},
	}},
}, {
	name: "admin-remove", title: "Take back what an admin was given by stanza", admin: true, do: (*Service).apiAdminRemove,
	stages: [][]param{{{name: "jid", label: "The JID", required: true}}},
}}

func (s *Service) apiAdmins(_ context.Context, c *call) error {
	c.shown.columns = []string{"jid", "added", "by"}
	for _, rec := range s.admins.list() {
		c.row(rec.JID, stampOf(rec.Added), rec.By)
	}
	c.says("%d admins, beside those of the configuration", len(c.shown.rows))
	return nil
}

// apiAdminAdd gives a JID the rights of a token, which is good for that once, or those of who asks.
func (s *Service) apiAdminAdd(ctx context.Context, c *call) error {
	text, token := c.word("jid"), c.word("token")
	if text == "" {
		text = c.user
	}
	to, err := userJID(text)
	if err != nil {
		return err
	}
	giver := c.who
	if token != "" {
		if giver, err = s.bearer(ctx, token); err != nil {
			return err
		}
	} else if !s.manages(ctx, giver) {
		return errCommandForbidden
	}
	if err := s.admins.add(ctx, to, giver.Grants, by(c, token)); err != nil {
		return err
	}
	s.recheckUser(ctx, to) // he may have had other rights before
	s.log.InfoContext(ctx, "an XMPP user was made an admin", slog.String("jid", to), slog.String("by", by(c, token)))
	c.says("%s is an admin", to)
	return nil
}

// by says who gave rights, for people.
func by(c *call, token string) string {
	if token != "" {
		return bare(c.From) + " with a token"
	}
	return bare(c.From)
}

// bearer is who brings a token that manages the realm, and has not been used for that before.
func (s *Service) bearer(ctx context.Context, token string) (broker.Principal, error) {
	if s.opts.Authenticator == nil {
		return broker.Principal{}, errCommandForbidden
	}
	who, err := s.opts.Authenticator.Authenticate(ctx, token)
	if err != nil {
		return who, err
	}
	if !s.manages(ctx, who) {
		return who, errCommandForbidden.saying("the token does not manage the realm")
	}
	return who, s.admins.spend(ctx, token, who.Expires)
}

func (s *Service) apiAdminRemove(ctx context.Context, c *call) error {
	j, err := userJID(c.word("jid"))
	if err != nil {
		return err
	}
	if err := s.admins.remove(ctx, j); err != nil {
		return err
	}
	s.recheckUser(ctx, j)
	s.log.InfoContext(ctx, "an XMPP user is no admin any more", slog.String("jid", j), slog.String("by", bare(c.From)))
	c.says("%s is not an admin any more, unless the configuration says so", j)
	return nil
}
