// Package auth says who somebody is and what they may do. It turns credentials into principals and is the broker's
// Authorizer; it knows channels and patterns, and no protocol.
//
//	bearer token ──Verifier.Authenticate──▶ Principal{Subject, Issuer, Grants, Expires}
//	bare JID     ──Users.Principal───────▶ Principal          │
//	                                                          ▼
//	                   Broker.Publish, Subscribe … ──Rules.Authorize──▶ nil, Unauthenticated, Forbidden
//
// # Tokens
//
// A token is a JWT in compact form, signed with one of its realm's keys. Promised:
//
//   - The algorithm is the key's. A token that names another one is refused, "none" among them. A secret is never taken
//     for a public key nor the other way round: they are fields of their own, and neither passes for the other's check.
//   - iss is the realm, so a token means nothing in another realm, even where two realms share a key.
//   - exp is required, and lies at most VerifierOptions.MaxLifetime ahead. exp and nbf are given Leeway.
//   - aud, where there is one, names the realm (RFC 7519 §4.1.3); crit is refused (RFC 7515 §4.1.11).
//   - A name that occurs twice in any object of header or payload is refused: two readers of one token must never
//     see two different tokens.
//   - Every refusal is a broker.Error of kind Unauthenticated with one sentence for the token's holder. It shows
//     neither keys nor the token's signature.
//
// What the claim "waft" lists is all that its token may do, within what its key may do:
//
//	{"publish": ["/a/**"], "subscribe": ["/a/*", "/b"], "read": [], "manage": false}
//
// A member left out is a right not given. A token without the claim has its key's grants; so tokens of the Fanout
// client libraries (iss and exp, nothing else) may do what their key may.
//
// golang-jwt computes signatures and compares times and issuer (its Validator, with every option spelled out). The
// compact form and its JSON are read here instead of by its Parser, which lets the token choose the algorithm's
// implementation, keeps the last of two members with one name, and lets line breaks pass.
//
// An API key is the other kind of bearer token: random, never changing, known here by its SHA-256 alone.
//
// Tokens can be taken back before they expire, by jti, sub, key and time of issue: Revoked. Verifier.Stands asks again about
// a principal that such a token made before; the owner's Authorizer puts it before the rules.
//
// # Rules
//
// A rule says who may publish to, subscribe to and read the channels of one pattern, and how much history they have;
// the first that matches a channel decides. A pattern is allowed exactly if each of its channels is. Two patterns
// that overlap are always one inside the other, which makes that cheap to decide; see meet.
//
// # JWK sets
//
// A set from an address is fetched by a goroutine of its own, from Verifier.Start to Close: at the start, every hour, and
// when a token names a key that is not there, which strangers can cause at a bounded rate only. The last good set stays.
// Verifying reads an atomic pointer; keySet.mu is taken by tokens of unknown keys alone, and never held while fetching.
// go-jose reads the keys of a set, and nothing else: it is shown the members that make one up.
//
// A Verifier (but for those sets), Rules and Users never change once made: a new configuration makes new ones and the
// owner swaps them.
//
// # Files
//
//	secret.go    keys as people write them: base64 in every spelling; new ones; pem.go: those of a pair
//	key.go       a key; the table of algorithms      hmac.go   HS256, HS384, HS512; asymmetric.go the others
//	jwks.go      a JWK set's text → keys             jwks_set.go, jwks_refresh.go, jwks_fetch.go: a set at work
//	verifier.go  token → principal, in these steps:  compact.go, object.go, claims.go, judge.go
//	mint.go      key and claims → token              mintfor.go  for somebody who asks
//	revoked.go   tokens that are taken back          apikey.go    static keys
//	rights.go    lists of rights; narrowing          meet.go   what two patterns share
//	rules.go     the Authorizer                      index.go  channel → rule; who.go; explain.go
//	users.go     bare JID → principal                realm.go  what a realm may be called
//
// # Deliberately not here
//
// RS384 and its like: an algorithm is a row in the table of key.go.
// Affiliations of XEP-0060: a further filter in xmpp.
package auth
