package auth_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

// FuzzAuthenticate gives any text for a token.
func FuzzAuthenticate(f *testing.F) {
	for _, row := range hostileTokens {
		if len(row.token) < 500 {
			f.Add(row.token)
		}
	}
	f.Add(hs256(goodHeader, goodPayload))
	v := newVerifier(f, auth.VerifierOptions{})
	f.Fuzz(func(t *testing.T, token string) {
		who, err := v.Authenticate(t.Context(), token)
		if err == nil {
			t.Fatalf("%q, whose like has expired long ago, made %+v", token, who)
		}
		if broker.KindOf(err) != broker.Unauthenticated || !who.Anonymous() {
			t.Errorf("%q: %v, %+v", token, err, who)
		}
	})
}

// FuzzAuthenticate_signed signs what it is given, so that it gets beyond the signature. Whatever is accepted must look
// the same to the reader that everybody else uses.
func FuzzAuthenticate_signed(f *testing.F) {
	now := time.Now().Unix()
	in10m, _ := json.Marshal(map[string]any{"iss": "default", "exp": now + 600, "sub": "x", "waft": map[string]any{"publish": []string{"/a/**"}}})
	f.Add(goodHeader, string(in10m))
	for _, row := range hostileTokens {
		if parts := strings.Split(row.token, "."); len(parts) == 3 && len(row.token) < 500 {
			f.Add(goodHeader, string(unb64(parts[1])))
			f.Add(string(unb64(parts[0])), string(in10m))
		}
	}
	v := newVerifier(f, auth.VerifierOptions{})
	f.Fuzz(func(t *testing.T, header, payload string) {
		who, err := v.Authenticate(t.Context(), hs256(header, payload))
		if err != nil {
			if broker.KindOf(err) != broker.Unauthenticated {
				t.Errorf("%s %s: %v", header, payload, err)
			}
			return
		}
		var h, p map[string]any
		if err := json.Unmarshal([]byte(header), &h); err != nil || h["alg"] != "HS256" || h["crit"] != nil {
			t.Errorf("accepted the header %s", header)
		}
		if err := json.Unmarshal([]byte(payload), &p); err != nil || p["iss"] != "default" {
			t.Errorf("accepted the payload %s", payload)
		}
		if sub, _ := p["sub"].(string); sub != who.Subject {
			t.Errorf("sub %q of %s", who.Subject, payload)
		}
		if exp, _ := p["exp"].(float64); time.Unix(int64(exp), 0).Add(auth.Leeway) != who.Expires || who.Expires.Before(time.Now()) {
			t.Errorf("exp %v of %s", who.Expires, payload)
		}
		if n := names(t, payload); n != count(p) {
			t.Errorf("%d names are %d members in %s", n, count(p), payload)
		}
	})
}

func unb64(s string) []byte {
	var out []byte
	if err := json.Unmarshal([]byte(`"`+strings.NewReplacer("-", "+", "_", "/").Replace(s)+strings.Repeat("=", -len(s)&3)+`"`), &out); err != nil {
		return nil
	}
	return out
}

// names counts the member names of all objects in a text, however often they occur.
func names(t *testing.T, text string) (n int) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	type level struct {
		object bool
		tokens int
	}
	stack := []level{{}}
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			stack = stack[:len(stack)-1]
			continue
		}
		top := &stack[len(stack)-1]
		if top.object && top.tokens%2 == 0 {
			n++
		}
		top.tokens++
		if token == json.Delim('{') || token == json.Delim('[') {
			stack = append(stack, level{object: token == json.Delim('{')})
		}
	}
}

// count counts the members of all objects in a value.
func count(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, m := range v {
			n += count(m)
		}
	case []any:
		for _, e := range v {
			n += count(e)
		}
	}
	return n
}

func BenchmarkAuthenticate(b *testing.B) {
	token, err := auth.Mint(mainKey, "default", auth.Claims{})
	if err != nil {
		b.Fatal(err)
	}
	v := newVerifier(b, auth.VerifierOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
