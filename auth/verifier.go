package auth

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"waft/broker"
)

// Leeway is how far the clocks of whoever mints tokens and of waft may be apart: a token is taken that much before
// its nbf and after its exp.
const Leeway = 30 * time.Second

// DefaultMaxLifetime is how far ahead a token's exp may lie, unless configured: ten years, so that nobody's tokens are
// refused but those that count in milliseconds.
const DefaultMaxLifetime = 3652 * 24 * time.Hour

// VerifierOptions says which tokens a realm takes.
type VerifierOptions struct {
	// Realm is the realm's id, [a-z0-9-]{1,63}: the iss of its tokens. Required.
	Realm string

	// Keys verify. A token that names one by its kid is held against that one, any other against all of them in this
	// order; what the token may do then is up to the key that fits. Without keys no token is taken.
	Keys []Key

	// Sets verify too: JWK sets, whose keys change by themselves. A token that names a key is held against the one of
	// that name in Keys, else against those of that name in Sets; one that names none against Keys, and against a key
	// of a set that is the only one of its algorithm there.
	Sets []SetOptions

	// APIKeys are what the realm takes beside tokens.
	APIKeys []APIKey

	// MaxLifetime is how far ahead exp may lie, from now; 0 means DefaultMaxLifetime.
	MaxLifetime time.Duration

	// Revoked are the tokens that are taken back before they expire; nil: none.
	Revoked *Revoked
}

// Verifier tells who holds a token. It implements broker.Authenticator for one realm, and never changes, but for the
// keys of sets that have an address: those are fetched from Start to Close.
type Verifier struct {
	// static
	realm       string
	keys        []prepared
	sets        []*keySet
	apiKeys     apiKeys
	maxLifetime time.Duration
	revoked     *Revoked

	fetching sync.WaitGroup     // a goroutine for each set with an address
	stop     context.CancelFunc // nil until Start
}

// NewVerifier makes a Verifier. The error is of kind Invalid.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if err := checkRealm(o.Realm); err != nil {
		return nil, err
	}
	if o.MaxLifetime < 0 {
		return nil, broker.Errorf(broker.Invalid, "the longest lifetime of a token must not be negative")
	}
	if o.MaxLifetime == 0 {
		o.MaxLifetime = DefaultMaxLifetime
	}
	v := &Verifier{
		realm:       o.Realm,
		maxLifetime: o.MaxLifetime,
		revoked:     o.Revoked,
	}
	for _, k := range o.Keys {
		p, err := prepare(k)
		if err != nil {
			return nil, err
		}
		if v.named(k.ID) != nil {
			return nil, broker.Errorf(broker.Invalid, "two keys of realm %q have the id %s", o.Realm, broker.Quote(k.ID))
		}
		p.Private = nil // it is not needed to verify, so it is not kept in memory
		p.judgedFor(o.Realm)
		v.keys = append(v.keys, p)
	}
	var err error
	if v.apiKeys, err = newAPIKeys(o.APIKeys); err != nil {
		return nil, err
	}
	for _, set := range o.Sets {
		s, err := newKeySet(o.Realm, set)
		if err != nil {
			return nil, err
		}
		if v.set(s.o.Name) != nil {
			return nil, broker.Errorf(broker.Invalid, "two JWK sets of realm %q have the name %s", o.Realm, broker.Quote(s.o.Name))
		}
		v.sets = append(v.sets, s)
	}
	return v, nil
}

// Authenticate verifies a token or an API key. The principal's Issuer is the realm; it Expires when the leeway after exp is over,
// so that what a late token began is not ended at once.
//
// Errors are of kind Unauthenticated; or Unavailable, when the token's key may be in a set that could not be fetched yet.
// It waits for nothing but such a fetch.
func (v *Verifier) Authenticate(ctx context.Context, token string) (broker.Principal, error) {
	if isAPIKey(token) {
		return v.apiKeys.authenticate(v.realm, token, time.Now())
	}
	parts, err := splitToken(token)
	if err != nil {
		return broker.Principal{}, err
	}
	key, err := v.verify(ctx, parts)
	if err != nil {
		return broker.Principal{}, err
	}
	// Only now is the payload worth reading.
	c, err := readClaims(parts.payload)
	if err != nil {
		return broker.Principal{}, err
	}
	if err := v.judge(key, c); err != nil {
		return broker.Principal{}, err
	}
	who := broker.Principal{Subject: c.subject, Issuer: v.realm, Grants: key.Grants, Expires: c.expires.Add(Leeway)}
	if c.rights != nil {
		who.Grants = narrow(key.Grants, c.rights.Grants())
	}
	if who.Credential, err = v.revoked.issuing(c); err != nil {
		return broker.Principal{}, err
	}
	who.Credential.Key = key.ID
	if err := v.revoked.judge(who, time.Now()); err != nil {
		return broker.Principal{}, err
	}
	return who, nil
}

// Stands tells whether a principal's credential, which was good, has been taken back since: nil if not. Sessions outlive
// the configuration that let them in.
func (v *Verifier) Stands(who broker.Principal) error {
	if who.Issuer != v.realm {
		return nil // nobody, or somebody whom others vouch for
	}
	if who.Credential.Static {
		return v.apiKeys.stand(who, time.Now())
	}
	return v.revoked.judge(who, time.Now())
}

// verify finds the key that made the signature.
func (v *Verifier) verify(ctx context.Context, t compact) (*prepared, error) {
	header, err := object(t.header)
	if err != nil {
		return nil, refuse("the token's header %w", err)
	}
	// RFC 7515 §4.1.11: what crit lists must be understood, and waft understands no extension. Of the other members only
	// two count: a key that a token brings along or points to (jwk, jku, x5c, x5u) is nobody's.
	if _, ok := header["crit"]; ok {
		return nil, refuse("the token's header has crit, and no critical extension is supported")
	}
	alg, ok := header["alg"].(string)
	if !ok {
		return nil, refuse("the token's header has no alg")
	}
	kid, ok := header["kid"].(string)
	if _, there := header["kid"]; there && !ok {
		return nil, refuse("the token's kid is not a string")
	}
	if key := v.named(kid); key != nil {
		if key.Algorithm != alg {
			return nil, refuse("the token's alg is %s, and the key it names is for %s", broker.Quote(alg), key.Algorithm)
		}
		if !key.signed(t) {
			return nil, errSignature
		}
		return key, nil
	}
	known := false
	for i := range v.keys {
		// The key says what the algorithm is; the token only whether it agrees. RFC 8725 §3.1
		if key := &v.keys[i]; key.Algorithm == alg {
			if known = true; key.signed(t) {
				return key, nil
			}
		}
	}
	key, err := v.fromSets(ctx, kid, alg, t)
	switch {
	case key != nil || err != nil:
		return key, err
	case len(v.keys) == 0 && len(v.sets) == 0:
		return nil, refuse("this realm has no keys, so it takes no tokens")
	case !known && !slices.ContainsFunc(v.sets, func(s *keySet) bool { return s.allows(alg) }):
		return nil, refuse("the token's alg is %s, which is that of no key of this realm", broker.Quote(alg))
	default:
		return nil, errSignature
	}
}

// fromSets finds it in the sets, and gives nil if it is in none.
func (v *Verifier) fromSets(ctx context.Context, kid, alg string, t compact) (*prepared, error) {
	named := false
	for _, s := range v.sets {
		if key := s.find(kid, alg); key != nil {
			if key.signed(t) {
				return key, nil
			}
			named = named || kid != ""
		}
	}
	if named {
		return nil, nil //nolint:nilnil // forged, and no fetch would make it good
	}
	for _, s := range v.sets {
		if !s.allows(alg) {
			continue
		}
		s.await(ctx, kid) // also where there was nothing to wait for: a fetch may have ended since the look above
		if key := s.find(kid, alg); key != nil && key.signed(t) {
			return key, nil
		}
		if s.current.Load() == nil {
			return nil, broker.Errorf(broker.Unavailable, "the keys of this realm could not be fetched yet, so the token cannot be verified now")
		}
	}
	return nil, nil //nolint:nilnil // in none
}

var errSignature = refuse("the token's signature does not match any key of this realm")

// named finds the key with an id; nil if there is none or the id is empty.
func (v *Verifier) named(id string) *prepared {
	for i := range v.keys {
		if id != "" && v.keys[i].ID == id {
			return &v.keys[i]
		}
	}
	return nil
}

// signed tells whether k made the token's signature.
func (k *prepared) signed(t compact) bool {
	return k.method.Verify(t.signed, t.signature, k.verifying(k.Key)) == nil
}

// set finds the set of a name; nil if there is none.
func (v *Verifier) set(name string) *keySet {
	for _, s := range v.sets {
		if s.o.Name == name {
			return s
		}
	}
	return nil
}

// Start begins to fetch the sets that have an address, for as long as it takes until Close. What old has fetched from the
// same addresses need not be waited for; old may be nil, and is not changed.
func (v *Verifier) Start(logger *slog.Logger, old *Verifier) {
	var ctx context.Context
	ctx, v.stop = context.WithCancel(context.Background())
	for _, s := range v.sets {
		if s.o.URL == "" {
			continue
		}
		if old != nil {
			if before := old.set(s.o.Name); before != nil {
				s.adopt(before)
			}
		}
		s.start(logger)
		v.fetching.Go(func() { s.run(ctx) })
	}
}

// Close ends what Start began. The Verifier goes on with the keys that it has.
func (v *Verifier) Close() {
	if v.stop != nil {
		v.stop()
		v.fetching.Wait()
	}
}

// Stats counts for each set that has an address.
func (v *Verifier) Stats() []SetStats {
	var stats []SetStats
	for _, s := range v.sets {
		if s.o.URL != "" {
			stats = append(stats, s.stats())
		}
	}
	return stats
}
