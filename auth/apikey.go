package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"waft/broker"
)

// APIKey is a static bearer token, for programs that cannot make tokens. Only its hash is known here: whoever reads the
// configuration cannot use it.
type APIKey struct {
	ID      string         // names it; required
	Hash    string         // as GenerateAPIKey gives it
	Subject string         // who holds it; "" for nobody in particular. As a token's sub
	Grants  []broker.Grant // all that it may do
	Expires time.Time      // when it ends; zero: never
}

// An API key is the prefix, 192 random bits and 24 that tell a typing error from a key that is gone. No token begins like
// it: a JWT's first letters are those of a brace.
const (
	apiKeyPrefix = "waft_"
	apiKeyBody   = 32 // characters of random bits
	apiKeySum    = 4
	hashPrefix   = "sha256:"
)

// GenerateAPIKey makes a new key, and its hash for the configuration. The key is to be shown once and kept nowhere here.
func GenerateAPIKey() (key, hash string) {
	var bits [apiKeyBody * 6 / 8]byte
	for {
		rand.Read(bits[:]) // never fails: it ends the program instead
		key = apiKeyPrefix + base64.RawURLEncoding.EncodeToString(bits[:])
		key += apiKeyCheck(key)
		// Without these two a double click takes all of it.
		if !strings.ContainsAny(key[len(apiKeyPrefix):], "-_") {
			return key, hashPrefix + hex.EncodeToString(hashOf(key))
		}
	}
}

func hashOf(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// apiKeyCheck gives the check characters of a key without them. They are no secret, and protect against nobody.
func apiKeyCheck(key string) string {
	return base64.RawURLEncoding.EncodeToString(hashOf("check " + key))[:apiKeySum]
}

// apiKeys finds API keys by their hash. How long that takes tells nothing: who could choose the hash of what he sends would
// have the key. A salt and a slow hash are for what people think up; 192 random bits cannot be tried out.
type apiKeys struct {
	byHash map[string]*APIKey // raw
	byID   map[string]*APIKey
}

func newAPIKeys(list []APIKey) (apiKeys, error) {
	keys := apiKeys{map[string]*APIKey{}, map[string]*APIKey{}}
	for i, k := range list {
		bad := func(format string, args ...any) (apiKeys, error) {
			return apiKeys{}, broker.Errorf(broker.Invalid, "API key %d (%s): %w", i+1, k.ID, broker.Errorf(broker.Invalid, format, args...))
		}
		text, ok := strings.CutPrefix(k.Hash, hashPrefix)
		hash, err := hex.DecodeString(text)
		switch {
		case k.ID == "":
			return bad("it needs an id")
		case strings.HasPrefix(k.Hash, apiKeyPrefix):
			return bad("this is the key itself, not its hash; make another one, since this one has been written down")
		case !ok || err != nil || len(hash) != sha256.Size:
			return bad("the hash must be %s and %d hexadecimal digits, as waft token api-key prints it", hashPrefix, 2*sha256.Size)
		case keys.byID[k.ID] != nil:
			return bad("another one has this id")
		case keys.byHash[string(hash)] != nil:
			return bad("it is the same as %s", keys.byHash[string(hash)].ID)
		}
		if err := checkSubject(k.Subject); err != nil {
			return bad("the subject %w", err)
		}
		if err := checkGrants(k.Grants); err != nil {
			return bad("%w", err)
		}
		keys.byHash[string(hash)], keys.byID[k.ID] = &k, &k
	}
	return keys, nil
}

// isAPIKey tells keys from tokens.
func isAPIKey(credential string) bool { return strings.HasPrefix(credential, apiKeyPrefix) }

func (keys apiKeys) authenticate(realm, key string, now time.Time) (broker.Principal, error) {
	body := len(key) - apiKeySum
	if len(key) != len(apiKeyPrefix)+apiKeyBody+apiKeySum || key[body:] != apiKeyCheck(key[:body]) {
		return broker.Principal{}, refuse("the API key is damaged: a part of it is missing, or mistyped")
	}
	k := keys.byHash[string(hashOf(key))]
	if k == nil {
		return broker.Principal{}, refuse("the realm %q has no such API key", realm)
	}
	if err := k.timely(now); err != nil {
		return broker.Principal{}, err
	}
	return broker.Principal{
		Subject: k.Subject, Issuer: realm, Grants: k.Grants, Expires: k.Expires,
		Credential: broker.Credential{ID: k.ID, Key: k.Hash, Static: true},
	}, nil
}

func (k *APIKey) timely(now time.Time) error {
	if !k.Expires.IsZero() && !now.Before(k.Expires) {
		return &broker.Error{Kind: broker.Unauthenticated, Text: "the API key expired at " + stamp(k.Expires), Err: broker.ErrCredentialExpired}
	}
	return nil
}

// stand tells whether a key that was good is still there.
func (keys apiKeys) stand(who broker.Principal, now time.Time) error {
	k := keys.byID[who.Credential.ID]
	if k == nil || k.Hash != who.Credential.Key {
		return refuse("the API key is no longer one of the realm's")
	}
	return k.timely(now)
}
