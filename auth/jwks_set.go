package auth

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
)

// SetOptions is a JWK set whose keys verify a realm's tokens: from an address, where they change without waft's doing,
// or a text.
type SetOptions struct {
	// Name is what logs and statistics call the set; "" means the address's host, or "file" for a text.
	Name string

	// URL is where the set is fetched from: https, or http on this machine.
	URL string

	// Text is the set itself, instead of URL.
	Text []byte

	// Algorithms are those its tokens may use; nil means PublicAlgorithms.
	Algorithms []string

	// Issuer and Audience are as in Key.
	Issuer, Audience string

	// Grants are the most that its tokens may do; nil means Everything.
	Grants []broker.Grant

	// Refresh is the time between two fetches, give or take a tenth; 0 means an hour. After a failure it is shorter.
	Refresh time.Duration

	// Timeout is how long a fetch may take, and how long a token of an unknown key waits for one; 0 means 10 s.
	Timeout time.Duration

	// MinInterval is the least time between two fetches, whatever strangers' tokens claim; 0 means 30 s. At most Refresh.
	MinInterval time.Duration

	// MaxBody is how many bytes a set may have; 0 means 262144.
	MaxBody int

	// Transport fetches; nil means Go's, with the proxies of the environment.
	Transport http.RoundTripper
}

const maxRefresh = 31 * 24 * time.Hour

func (o *SetOptions) complete() {
	o.Refresh = cmp.Or(o.Refresh, time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.MinInterval = min(cmp.Or(o.MinInterval, 30*time.Second), o.Refresh)
	o.MaxBody = cmp.Or(o.MaxBody, 256<<10)
	if o.Algorithms == nil {
		o.Algorithms = PublicAlgorithms()
	}
}

// SetStats counts what a set's address has answered.
type SetStats struct {
	Name    string
	Keys    int       // that can be used now
	Fetched uint64    // sets
	Failed  uint64    // fetches that gave none
	At      time.Time // of the last one that gave a set; zero: none did
}

// keyName is how a token names a key of a set. One kid may serve two algorithms.
type keyName struct{ kid, alg string }

// snapshot is a set as it was read once. It never changes.
type snapshot struct {
	by   map[keyName]*prepared
	sole map[string]*prepared // by algorithm: the only key there is for it, which a token need not name; nil if there are several
	at   time.Time
}

// keySet is a set at work. Looking a key up takes no lock; only a token of an unknown key does, to wait for a fetch.
type keySet struct {
	// static
	o      SetOptions
	realm  string
	client *http.Client
	wake   chan struct{} // a fetch is wanted; capacity 1
	logger *slog.Logger  // set by start

	current         atomic.Pointer[snapshot] // nil until there is one
	fetched, failed atomic.Uint64

	mu      sync.Mutex
	running bool
	round   chan struct{}        // closed at the end of the fetch that is wanted or under way; nil: none is
	began   time.Time            // of the last fetch
	unknown map[string]time.Time // kids that a fetch has not brought, until when they cause no other
}

func newKeySet(realm string, o SetOptions) (*keySet, error) {
	o.complete()
	s := &keySet{o: o, realm: realm, client: newSetClient(o.Transport), wake: make(chan struct{}, 1), unknown: map[string]time.Time{}}
	if o.Refresh < 0 || o.Timeout < 0 || o.MinInterval < 0 || o.MaxBody < 0 {
		return nil, broker.Errorf(broker.Invalid, "JWK set %s: times and sizes must not be negative", broker.Quote(o.Name))
	}
	if o.Refresh > maxRefresh {
		return nil, broker.Errorf(broker.Invalid, "JWK set %s: %s between two fetches is more than %s, and keys that are gone would stay good as long",
			broker.Quote(o.Name), lifetime(o.Refresh), lifetime(maxRefresh))
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(PublicAlgorithms(), a) {
			return nil, broker.Errorf(broker.Invalid, "JWK set %s: the algorithm %s is none of those with public keys: %s",
				broker.Quote(o.Name), broker.Quote(a), algorithmList(PublicAlgorithms()))
		}
	}
	if err := checkGrants(o.Grants); err != nil {
		return nil, broker.Errorf(broker.Invalid, "JWK set %s: %w", broker.Quote(o.Name), err)
	}
	if (o.URL == "") == (o.Text == nil) {
		return nil, broker.Errorf(broker.Invalid, "JWK set %s: it has an address or a text, one of them", broker.Quote(o.Name))
	}
	if o.URL != "" {
		u, err := checkSetURL(o.URL)
		if err != nil {
			return nil, err
		}
		s.o.Name = cmp.Or(o.Name, u.Host)
		return s, nil
	}
	s.o.Name = cmp.Or(o.Name, "file")
	keys, skipped, err := ParseJWKS(o.Text, o.Algorithms)
	if err == nil && len(keys) == 0 {
		err = broker.Errorf(broker.Invalid, "it has no key that can be used%s", first(skipped))
	}
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "JWK set %s: %w", broker.Quote(s.o.Name), err)
	}
	return s, s.put(keys, time.Now())
}

func first(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	return ": " + skipped[0]
}

// put makes keys the current ones.
func (s *keySet) put(keys []Key, at time.Time) error {
	next := &snapshot{by: map[keyName]*prepared{}, sole: map[string]*prepared{}, at: at}
	for _, k := range keys {
		k.Grants, k.Issuer, k.Audience = s.o.Grants, s.o.Issuer, s.o.Audience
		p, err := s.prepare(k)
		if err != nil {
			return err
		}
		next.by[keyName{k.ID, k.Algorithm}] = p
		if _, several := next.sole[k.Algorithm]; several {
			p = nil
		}
		next.sole[k.Algorithm] = p
	}
	s.current.Store(next)
	return nil
}

func (s *keySet) prepare(k Key) (*prepared, error) {
	p, err := prepare(k)
	p.judgedFor(s.realm)
	return &p, err
}

// find gives the key that a token names; "" names the only one of its algorithm.
func (s *keySet) find(kid, alg string) *prepared {
	now := s.current.Load()
	switch {
	case now == nil:
		return nil
	case kid == "":
		return now.sole[alg]
	default:
		return now.by[keyName{kid, alg}]
	}
}

func (s *keySet) allows(alg string) bool { return slices.Contains(s.o.Algorithms, alg) }

func (s *keySet) stats() SetStats {
	stats := SetStats{Name: s.o.Name, Fetched: s.fetched.Load(), Failed: s.failed.Load()}
	if now := s.current.Load(); now != nil {
		stats.Keys, stats.At = len(now.by), now.at
	}
	return stats
}

// adopt takes over what an older set of the same address knows, so that a reload of the configuration forgets no key.
func (s *keySet) adopt(old *keySet) {
	now := old.current.Load()
	if now == nil || old.o.URL != s.o.URL || !slices.Equal(old.o.Algorithms, s.o.Algorithms) {
		return
	}
	var keys []Key
	for _, p := range now.by {
		keys = append(keys, p.Key)
	}
	if s.put(keys, now.at) == nil {
		s.fetched.Store(old.fetched.Load())
		s.failed.Store(old.failed.Load())
	}
}
