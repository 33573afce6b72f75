package main

import (
	"errors"
	"fmt"
	"time"

	"waft/auth"
	"waft/broker"
)

// tokenSettings says which tokens a realm takes.
type tokenSettings struct {
	MaxLifetime duration `toml:"max_lifetime"` // how far ahead exp may lie; default ten years (87648h)

	RevokedFile string `toml:"revoked_file,omitempty"` // the file that holds further revocations, read at the start and on SIGHUP

	// Of the realm's JWK sets that have an address.
	JWKSRefresh     duration `toml:"jwks_refresh"`      // between two fetches, give or take a tenth; default 1h
	JWKSTimeout     duration `toml:"jwks_timeout"`      // of one; default 10s
	JWKSMinInterval duration `toml:"jwks_min_interval"` // between two, whatever tokens claim; default 30s
	JWKSMaxBody     int      `toml:"jwks_max_body"`     // bytes of a set; default 262144
}

// rightsSettings is what a key's tokens or an XMPP user may do, at most.
type rightsSettings struct {
	Publish   []string `toml:"publish"`   // patterns
	Subscribe []string `toml:"subscribe"` // patterns
	Read      []string `toml:"read"`      // patterns whose history may be read
	Manage    *bool    `toml:"manage"`
}

// keySettings is one key of a realm. Without patterns its tokens may do everything; an empty list is a choice.
type keySettings struct {
	ID  string `toml:"id"`  // a token's kid names it
	Alg string `toml:"alg"` // one of auth.Algorithms, default HS256: the only one that its tokens may use
	secretSettings
	pairSettings
	jwksSettings
	Issuer   string `toml:"issuer,omitempty"`   // iss of its tokens; default the realm's id
	Audience string `toml:"audience,omitempty"` // aud of its tokens, where there is an issuer; default the realm's id
	rightsSettings
}

// ruleSettings says who may do what with the channels of a pattern.
type ruleSettings struct {
	Match     string          `toml:"match"`     // pattern
	Subscribe string          `toml:"subscribe"` // "anyone" (default), "token" or "nobody"
	Publish   string          `toml:"publish"`   // likewise; default "token"
	Read      string          `toml:"read"`      // likewise; default as subscribe
	History   historySettings `toml:"history,inline"`
	ReplayID  bool            `toml:"replay_id"` // Bayeux events carry data.event.replayId, for Salesforce's clients; default false
}

// historySettings is how much of a channel is kept. Without it nothing is.
type historySettings struct {
	Size  int      `toml:"size"`  // messages; 0 (default): none
	Age   duration `toml:"age"`   // how long; 0 (default): for as long as there is room
	Bytes int64    `toml:"bytes"` // of them, each with 256 for its envelope; 0 (default): no limit
}

// userSettings gives rights to users of an XMPP server. Without patterns they have none.
type userSettings struct {
	Match string `toml:"match"` // "alice@example.org", "@example.org" or "*"
	rightsSettings
}

func (t *tokenSettings) complete() {
	fill(&t.MaxLifetime, duration{auth.DefaultMaxLifetime})
	fill(&t.JWKSRefresh, duration{time.Hour})
	fill(&t.JWKSTimeout, duration{10 * time.Second})
	fill(&t.JWKSMinInterval, duration{30 * time.Second})
	fill(&t.JWKSMaxBody, 256<<10)
}

func (k *keySettings) complete() {
	if !k.isSet() {
		fill(&k.Alg, "HS256")
	}
	everything := []string{"/**"}
	for _, list := range []*[]string{&k.Publish, &k.Subscribe, &k.Read} {
		if *list == nil {
			*list = everything
		}
	}
	if k.Manage == nil {
		k.Manage = new(true)
	}
}

func (r *ruleSettings) complete() {
	built := auth.BuiltIn()
	fill(&r.Subscribe, built.Subscribe.String())
	fill(&r.Publish, built.Publish.String())
	fill(&r.Read, r.Subscribe)
}

func (u *userSettings) complete() { u.rightsSettings.nothing() }

// nothing is the default of rights that are only what is listed.
func (r *rightsSettings) nothing() {
	for _, list := range []*[]string{&r.Publish, &r.Subscribe, &r.Read} {
		if *list == nil {
			*list = []string{}
		}
	}
	if r.Manage == nil {
		r.Manage = new(false)
	}
}

// grants reads the patterns.
func (r rightsSettings) grants() ([]broker.Grant, error) {
	rights := auth.Rights{Manage: r.Manage != nil && *r.Manage}
	for _, list := range []struct {
		name string
		from []string
		to   *[]broker.Pattern
	}{{"publish", r.Publish, &rights.Publish}, {"subscribe", r.Subscribe, &rights.Subscribe}, {"read", r.Read, &rights.Read}} {
		for _, text := range list.from {
			p, err := broker.ParsePattern(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list.name, err)
			}
			*list.to = append(*list.to, p)
		}
	}
	return rights.Grants(), nil
}

// key reads the key and what it verifies with.
func (k *keySettings) key(env environment, dir string) (auth.Key, error) {
	key := auth.Key{ID: k.ID, Algorithm: k.Alg, Issuer: k.Issuer, Audience: k.Audience}
	if err := k.checkIssuer(); err != nil {
		return auth.Key{}, err
	}
	var err error
	if key.Grants, err = k.grants(); err != nil {
		return auth.Key{}, err
	}
	if k.pairSettings != (pairSettings{}) {
		if k.secretSettings != (secretSettings{}) {
			return auth.Key{}, errors.New("it has a secret and a public key; it can have only one of them")
		}
		key.Public, key.Private, err = k.read(dir)
		return key, err
	}
	text, err := k.resolve(env, dir)
	if err != nil {
		return auth.Key{}, err
	}
	key.Secret, err = auth.ParseSecret(text.reveal())
	return key, err
}

func (r *ruleSettings) rule() (auth.Rule, error) {
	match, err := broker.ParsePattern(r.Match)
	if err != nil {
		return auth.Rule{}, fmt.Errorf("match: %w", err)
	}
	rule := auth.Rule{Match: match, History: broker.Retention{Size: r.History.Size, Bytes: r.History.Bytes, Age: r.History.Age.Duration}, ReplayID: r.ReplayID}
	for _, word := range []struct {
		name, from string
		to         *auth.Who
	}{{"subscribe", r.Subscribe, &rule.Subscribe}, {"publish", r.Publish, &rule.Publish}, {"read", r.Read, &rule.Read}} {
		if *word.to, err = auth.ParseWho(word.from); err != nil {
			return auth.Rule{}, fmt.Errorf("%s: %w", word.name, err)
		}
	}
	return rule, nil
}

// verifier makes the realm's verifier of tokens.
func (r *realmSettings) verifier(env environment, dir string) (*auth.Verifier, error) {
	o := auth.VerifierOptions{Realm: r.ID, MaxLifetime: r.Tokens.MaxLifetime.Duration}
	var err error
	if o.Keys, err = r.keys(env, dir); err != nil {
		return nil, err
	}
	if o.Sets, err = r.sets(dir); err != nil {
		return nil, err
	}
	if o.APIKeys, err = r.apiKeys(); err != nil {
		return nil, err
	}
	if o.Revoked, err = r.revoked(dir); err != nil {
		return nil, err
	}
	return auth.NewVerifier(o)
}

// keys are those that stand in the configuration; sets are the others.
func (r *realmSettings) keys(env environment, dir string) ([]auth.Key, error) {
	var keys []auth.Key
	for i := range r.Keys {
		if r.Keys[i].isSet() {
			continue
		}
		k, err := r.Keys[i].key(env, dir)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (r *realmSettings) sets(dir string) ([]auth.SetOptions, error) {
	var sets []auth.SetOptions
	for i := range r.Keys {
		if !r.Keys[i].isSet() {
			continue
		}
		set, err := r.Keys[i].set(&r.Tokens, dir)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// rules makes the realm's rules.
func (r *realmSettings) rules() (*auth.Rules, error) {
	var rules []auth.Rule
	for i := range r.Rules {
		rule, err := r.Rules[i].rule()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		rules = append(rules, rule)
	}
	return auth.NewRules(rules)
}

// users makes the map from an XMPP server's users to what they may do.
func (x *xmppSettings) users() (*auth.Users, error) {
	var users []auth.User
	for i := range x.Users {
		grants, err := x.Users[i].grants()
		if err != nil {
			return nil, fmt.Errorf("user %d: %w", i+1, err)
		}
		users = append(users, auth.User{Match: x.Users[i].Match, Grants: grants})
	}
	return auth.NewUsers(users)
}
