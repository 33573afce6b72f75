package auth_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

const (
	badSignature = "the token's signature does not match any key of this realm"
	notThree     = "the token does not have three parts with a dot between them"
)

func claim(members string) string   { return hs256(goodHeader, with(members)) }
func payload(text string) string    { return hs256(goodHeader, text) }
func header(text string) string     { return hs256(text, goodPayload) }
func expiring(exp string) string    { return payload(`{"iss":"default","exp":` + exp + `}`) }
func issuedBy(issuer string) string { return payload(`{"iss":` + issuer + `,"exp":946685400}`) }

// part replaces one part of a good token after it was signed.
func part(i int, text string) string {
	parts := strings.Split(hs256(goodHeader, goodPayload), ".")
	parts[i] = text
	return strings.Join(parts, ".")
}

// leftover sets a bit of the last character that belongs to no byte: most decoders give the same signature.
func leftover() string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	token := hs256(goodHeader, goodPayload)
	last := strings.IndexByte(digits, token[len(token)-1])
	return token[:len(token)-1] + digits[last|1:][:1]
}

var hostileTokens = []struct {
	hostile string // what is
	token   string
	want    string // the whole sentence, so that a row cannot pass for another row's reason
}{
	// The compact form.
	{"nothing at all", "", "the token is empty"},
	{
		"longer than any header, though signed", claim(`"pad":"` + strings.Repeat("x", auth.MaxToken) + `"`),
		"the token has 11060 bytes, more than the limit of 8192",
	},
	{"a megabyte of dots", strings.Repeat(".", 1<<20), "the token has 1048576 bytes, more than the limit of 8192"},
	{"one part", "token", notThree},
	{"two parts", b64(goodHeader) + "." + b64(goodPayload), notThree},
	{"four parts", hs256(goodHeader, goodPayload) + ".", notThree},
	{"encrypted (five parts)", "a.b.c.d.e", notThree},
	{"still with its scheme", "Bearer " + hs256(goodHeader, goodPayload), "the token has a character at byte 6 that no token has"},
	{
		"a line break at the end, which Go's base64 skips", hs256(goodHeader, goodPayload) + "\n",
		"the token has a character at byte 125 that no token has",
	},
	{"a line break inside the header", "\r" + hs256(goodHeader, goodPayload), "the token has a character at byte 0 that no token has"},
	{"padding", hs256(goodHeader, goodPayload) + "=", "the token has a character at byte 125 that no token has"},
	{"the standard alphabet", part(2, "++++"), "the token has a character at byte 82 that no token has"},
	{"a NUL", hs256(goodHeader, goodPayload) + "\x00", "the token has a character at byte 125 that no token has"},
	{"a Cyrillic e", "е" + hs256(goodHeader, goodPayload), "the token has a character at byte 0 that no token has"},
	{"not UTF-8", "\xff" + hs256(goodHeader, goodPayload), "the token has a character at byte 0 that no token has"},
	{"a header of impossible length", part(0, "eyJhb"), "the token's header is not base64url"},
	{"a payload of impossible length", part(1, "eyJpc"), "the token's payload is not base64url"},
	{"a signature of impossible length", part(2, "eyJpc"), "the token's signature is not base64url"},
	{"a second spelling of its signature", leftover(), "the token's signature is not base64url"},

	// The header's JSON.
	{"an empty header", part(0, ""), "the token's header is not valid JSON"},
	{"a header that is text", header("HS256"), "the token's header is not valid JSON"},
	{"a header cut short", header(`{"alg":"HS256"`), "the token's header is not valid JSON"},
	{"a header cut short in an array", header(`{"alg":"HS256","x":[1`), "the token's header is not valid JSON"},
	{"a header with a name and no value", header(`{"alg"}`), "the token's header is not valid JSON"},
	{"a header with a number for a name", header(`{1:"HS256"}`), "the token's header is not valid JSON"},
	{"an array for a header", header(`["HS256"]`), "the token's header is not a JSON object"},
	{"null for a header", header("null"), "the token's header is not a JSON object"},
	{"a string for a header", header(`"HS256"`), "the token's header is not a JSON object"},
	{"a header with a second one after it", header(goodHeader + goodHeader), "the token's header is not valid JSON"},
	{"a header with rubbish after it", header(goodHeader + "]"), "the token's header is not valid JSON"},
	{"a header with a byte order mark", header("\ufeff" + goodHeader), "the token's header is not valid JSON"},
	{"a header that is not UTF-8", header("{\"alg\":\"HS256\",\"x\":\"\xff\"}"), "the token's header is not valid JSON"},
	{"alg twice", header(`{"alg":"none","alg":"HS256"}`), `the token's header has the name "alg" twice`},
	{"alg twice, once in disguise", header(`{"\u0061lg":"none","alg":"HS256"}`), `the token's header has the name "alg" twice`},
	{"a name twice, deep inside", header(`{"alg":"HS256","x":[{"y":{"z":1,"z":2}}]}`), `the token's header has the name "z" twice`},

	// alg
	{"no alg", header(`{"typ":"JWT"}`), "the token's header has no alg"},
	{"ALG for alg, which a Go struct would take", header(`{"ALG":"HS256"}`), "the token's header has no alg"},
	{"alg null", header(`{"alg":null}`), "the token's header has no alg"},
	{"a list of algs", header(`{"alg":["HS256"]}`), "the token's header has no alg"},
	{
		"alg none, no signature", b64(`{"alg":"none"}`) + "." + b64(goodPayload) + ".",
		`the token's alg is "none", which is that of no key of this realm`,
	},
	{
		"alg nOnE, no signature", b64(`{"alg":"nOnE"}`) + "." + b64(goodPayload) + ".",
		`the token's alg is "nOnE", which is that of no key of this realm`,
	},
	{"alg none, well signed", header(`{"alg":"none"}`), `the token's alg is "none", which is that of no key of this realm`},
	{
		"alg none, well signed, with the key's name", header(`{"alg":"none","kid":"main"}`),
		`the token's alg is "none", and the key it names is for HS256`,
	},
	{"an empty alg", header(`{"alg":""}`), `the token's alg is "", which is that of no key of this realm`},
	{"alg in lower case", header(`{"alg":"hs256"}`), `the token's alg is "hs256", which is that of no key of this realm`},
	{
		"the key's secret used with another hash", sign("HS512", mainSecret, `{"alg":"HS512"}`, goodPayload),
		`the token's alg is "HS512", which is that of no key of this realm`,
	},
	{
		"the key's secret used with another hash, and its name", sign("HS512", mainSecret, `{"alg":"HS512","kid":"main"}`, goodPayload),
		`the token's alg is "HS512", and the key it names is for HS256`,
	},
	{
		"a public key's alg, to have the secret taken for one", header(`{"alg":"RS256"}`),
		`the token's alg is "RS256", which is that of no key of this realm`,
	},
	{"the right alg, signed with another", sign("HS512", mainSecret, goodHeader, goodPayload), badSignature},

	// crit, kid, and keys that a token brings along
	{"crit", header(`{"alg":"HS256","crit":["exp"],"exp":1}`), "the token's header has crit, and no critical extension is supported"},
	{
		"crit for an unencoded payload (RFC 7797)", header(`{"alg":"HS256","crit":["b64"],"b64":false}`),
		"the token's header has crit, and no critical extension is supported",
	},
	{"an empty crit", header(`{"alg":"HS256","crit":[]}`), "the token's header has crit, and no critical extension is supported"},
	{"crit null", header(`{"alg":"HS256","crit":null}`), "the token's header has crit, and no critical extension is supported"},
	{"a number for a kid", header(`{"alg":"HS256","kid":1}`), "the token's kid is not a string"},
	{"kid null", header(`{"alg":"HS256","kid":null}`), "the token's kid is not a string"},
	{"the name of another key", header(`{"alg":"HS256","kid":"old"}`), badSignature},
	{"a file for a kid, an empty one for a secret", sign("HS256", nil, `{"alg":"HS256","kid":"../../dev/null"}`, goodPayload), badSignature},
	{"a query for a kid", sign("HS256", []byte("x"), `{"alg":"HS256","kid":"' union select 'x"}`, goodPayload), badSignature},
	{"a key of its own (jwk)", sign("HS256", []byte("the attacker's"),
		`{"alg":"HS256","jwk":{"kty":"oct","k":"`+b64("the attacker's")+`"}}`, goodPayload), badSignature},
	{"the address of a key (jku)", sign("HS256", []byte("the attacker's"), `{"alg":"HS256","jku":"http://127.0.0.1/jwks"}`, goodPayload), badSignature},

	// The signature.
	{"signed with the base64 text of the key", sign("HS256", []byte(base64.StdEncoding.EncodeToString(mainSecret)), goodHeader, goodPayload), badSignature},
	{"signed with an empty key", sign("HS256", nil, goodHeader, goodPayload), badSignature},
	{"no signature", part(2, ""), badSignature},
	{"the first half of its signature", hs256(goodHeader, goodPayload)[:82+20], badSignature},
	{"another payload than was signed", part(1, b64(with(`"sub":"root"`))), badSignature},
	{"another header than was signed", part(0, b64(`{"alg":"HS256"}`)), badSignature},
	{"a signature of zeros", part(2, strings.Repeat("A", 43)), badSignature},

	// The payload's JSON. From here on every token is well signed.
	{"a payload that is text", payload("hello"), "the token's payload is not valid JSON"},
	{"an empty payload", payload(""), "the token's payload is not valid JSON"},
	{"null for a payload", payload("null"), "the token's payload is not a JSON object"},
	{"an array for a payload", payload("[" + goodPayload + "]"), "the token's payload is not a JSON object"},
	{"a token for a payload", hs256(`{"alg":"HS256","cty":"JWT"}`, hs256(goodHeader, goodPayload)), "the token's payload is not valid JSON"},
	{"a token in quotes for a payload", payload(`"` + hs256(goodHeader, goodPayload) + `"`), "the token's payload is not a JSON object"},
	{"5,000 open brackets", claim(`"x":` + strings.Repeat("[", 5000)), "the token's payload is not valid JSON"},
	{
		"2,500 nested arrays, with a name twice at the bottom", claim(`"x":` + strings.Repeat("[", 2500) + `{"y":1,"y":1}` + strings.Repeat("]", 2500)),
		`the token's payload has the name "y" twice`,
	},
	{"two payloads", payload(goodPayload + goodPayload), "the token's payload is not valid JSON"},
	{"a payload that is not UTF-8", claim("\"\xff\":1,\"\xfe\":2"), "the token's payload is not valid JSON"},
	{"exp twice", payload(`{"iss":"default","exp":1,"exp":946685400}`), `the token's payload has the name "exp" twice`},
	{"exp twice, once in disguise", payload(`{"iss":"default","exp":946685400,"\u0065xp":1}`), `the token's payload has the name "exp" twice`},
	{"iss twice", payload(`{"iss":"other","iss":"default","exp":946685400}`), `the token's payload has the name "iss" twice`},
	{"a claim twice that nobody reads", claim(`"a":1,"a":1`), `the token's payload has the name "a" twice`},
	{"a right twice", claim(`"waft":{"publish":["/a"],"publish":["/**"]}`), `the token's payload has the name "publish" twice`},

	// iss
	{"no iss", payload(`{"exp":946685400}`), `the token has no issuer (iss); it must be the realm "default"`},
	{
		"ISS for iss, which a Go struct would take", payload(`{"ISS":"default","exp":946685400}`),
		`the token has no issuer (iss); it must be the realm "default"`,
	},
	{"an empty iss", issuedBy(`""`), `the token has no issuer (iss); it must be the realm "default"`},
	{"iss null", issuedBy(`null`), "the token's iss is not a string"},
	{"a list of issuers", issuedBy(`["default"]`), "the token's iss is not a string"},
	{"another realm", issuedBy(`"other"`), `the token's issuer is "other", not the realm "default"`},
	{"the realm in capitals", issuedBy(`"DEFAULT"`), `the token's issuer is "DEFAULT", not the realm "default"`},
	{"the realm with a space", issuedBy(`"default "`), `the token's issuer is "default ", not the realm "default"`},
	{"the realm with a NUL", issuedBy(`"default\u0000"`), `the token's issuer is "default\x00", not the realm "default"`},

	// exp
	{"no exp", payload(`{"iss":"default"}`), "the token has no expiry (exp)"},
	{"EXP for exp, which a Go struct would take", payload(`{"iss":"default","EXP":946685400}`), "the token has no expiry (exp)"},
	{"exp null", expiring(`null`), "the token's exp is not a number"},
	{"exp in quotes", expiring(`"946685400"`), "the token's exp is not a number"},
	{"exp true", expiring(`true`), "the token's exp is not a number"},
	{"exp in a list", expiring(`[946685400]`), "the token's exp is not a number"},
	{"exp zero, which golang-jwt takes for none", expiring(`0`), "the token expired at 1970-01-01T00:00:00Z"},
	{"exp negative", expiring(`-946685400`), "the token's exp is not a time in seconds since 1970"},
	{"exp beyond 64 bits", expiring(`1e19`), "the token's exp is not a time in seconds since 1970"},
	{"exp beyond a float", expiring(`1e400`), "the token's exp is not a time in seconds since 1970"},
	{"exp below a float", expiring(`-1e400`), "the token's exp is not a time in seconds since 1970"},
	{"exp NaN", expiring(`NaN`), "the token's payload is not valid JSON"},
	{"exp in hexadecimal", expiring(`0x386d4380`), "the token's payload is not valid JSON"},
	{"exp an hour ago", expiring(`946681200`), "the token expired at 1999-12-31T23:00:00Z"},
	{"exp as long ago as the leeway", expiring(fmt.Sprint(epoch - 30)), "the token expired at 1999-12-31T23:59:30Z"},
	{
		"exp in milliseconds", expiring(`946684803600`),
		"the token expires at 31969-04-01T01:00:00Z, more than 3652 days ahead; it looks like milliseconds, and counts in seconds since 1970",
	},
	{"exp in microseconds", expiring(`946684803600000`), "the token's exp is not a time in seconds since 1970"},
	{
		"exp in eleven years", expiring(fmt.Sprint(epoch + 11*365*86400)),
		"the token expires at 2010-12-29T00:00:00Z, more than 3652 days ahead",
	},

	// nbf
	{"nbf in quotes", claim(`"nbf":"0"`), "the token's nbf is not a number"},
	{"nbf null", claim(`"nbf":null`), "the token's nbf is not a number"},
	{"nbf negative", claim(`"nbf":-1`), "the token's nbf is not a time in seconds since 1970"},
	{"nbf in five minutes", claim(`"nbf":946685100`), "the token is not valid before 2000-01-01T00:05:00Z"},
	{
		"nbf in milliseconds", claim(`"nbf":946684800000`),
		"the token is not valid before 31969-04-01T00:00:00Z; it looks like milliseconds, and counts in seconds since 1970",
	},

	// sub and aud
	{"a number for a sub", claim(`"sub":7`), "the token's sub is not a string"},
	{"a sub that XML cannot carry", claim(`"sub":"a\u0000b"`), "the token's sub has a control character"},
	{"a sub that begins a new log line", claim(`"sub":"a\nb"`), "the token's sub has a control character"},
	{"a sub that is no character", claim(`"sub":"\uffff"`), "the token's sub has a control character"},
	{"a sub as long as a book", claim(`"sub":"` + strings.Repeat("x", 513) + `"`), "the token's sub has 513 bytes, more than the limit of 512"},
	{"for somebody else", claim(`"aud":"billing"`), `the token is for another audience (aud) than the realm "default"`},
	{"for some others", claim(`"aud":["billing","mail"]`), `the token is for another audience (aud) than the realm "default"`},
	{"for nobody", claim(`"aud":[]`), `the token is for another audience (aud) than the realm "default"`},
	{"aud null", claim(`"aud":null`), "the token's aud is neither a string nor an array of strings"},
	{"aud of several kinds", claim(`"aud":["default",1]`), "the token's aud is neither a string nor an array of strings"},

	// waft
	{"waft null", claim(`"waft":null`), "the token's waft claim is not an object"},
	{"waft true", claim(`"waft":true`), "the token's waft claim is not an object"},
	{"waft a list", claim(`"waft":["/**"]`), "the token's waft claim is not an object"},
	{"a pattern not in a list", claim(`"waft":{"publish":"/**"}`), "the token's waft claim is wrong: publish is not an array"},
	{"publish null", claim(`"waft":{"publish":null}`), "the token's waft claim is wrong: publish is not an array"},
	{"a pattern that is a number", claim(`"waft":{"read":[1]}`), "the token's waft claim is wrong: read has an element that is not a string"},
	{
		"a pattern without its slash", claim(`"waft":{"subscribe":["news"]}`),
		`the token's waft claim is wrong: channel "news" does not begin with a slash`,
	},
	{
		"a wildcard in the middle", claim(`"waft":{"subscribe":["/*/a"]}`),
		`the token's waft claim is wrong: channel "/*/a" has "*" at byte 1, which no channel may have`,
	},
	{"an empty pattern", claim(`"waft":{"publish":[""]}`), "the token's waft claim is wrong: a channel name is missing"},
	{"manage in quotes", claim(`"waft":{"manage":"true"}`), "the token's waft claim is wrong: manage is neither true nor false"},
	{"manage 1", claim(`"waft":{"manage":1}`), "the token's waft claim is wrong: manage is neither true nor false"},
	{"a right that does not exist", claim(`"waft":{"pulbish":["/a"]}`), `the token's waft claim has a member "pulbish", which means nothing here`},
	{
		"257 patterns", claim(`"waft":{"publish":["/a"],"subscribe":["/a"` + strings.Repeat(`,"/b"`, 255) + `]}`),
		"the token's waft claim lists more than 256 patterns",
	},
}

func TestVerifier_refuses_hostile_tokens(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		if _, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), hs256(goodHeader, goodPayload)); err != nil {
			t.Fatalf("the token that the hostile ones are made from must itself be good: %v", err)
		}
	})
	for _, row := range hostileTokens {
		t.Run(row.hostile, func(t *testing.T) {
			at(t, 0, func(t *testing.T) {
				who, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), row.token)
				wantError(t, err, broker.Unauthenticated, row.want)
				if !who.Anonymous() || who.Grants != nil {
					t.Errorf("a refused token made a principal: %+v", who)
				}
				if signature := row.token[strings.LastIndexByte(row.token, '.')+1:]; len(signature) > 8 && strings.Contains(err.Error(), signature) {
					t.Error("the error shows the signature")
				}
			})
		})
	}
	t.Logf("%d hostile tokens", len(hostileTokens))
}
