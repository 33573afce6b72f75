package httppub

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"time"

	"waft/broker"
)

// maxKeyBytes is the longest an Idempotency-Key may be.
const maxKeyBytes = 255

// requestKey reads the Idempotency-Key of a request; "" is none. It is a string as structured fields have it (RFC 8941 §3.3.3), which
// is what draft-ietf-httpapi-idempotency-key-header asks for, or the same without its quotes, as most clients send it. The error is of
// kind Invalid.
func requestKey(r *http.Request) (string, error) {
	lines := r.Header["Idempotency-Key"]
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", broker.Errorf(broker.Invalid, "the request has several Idempotency-Key headers; send one")
	}
	return parseKey(strings.Trim(lines[0], " \t"))
}

func parseKey(s string) (string, error) {
	bad := func(text string) (string, error) {
		return "", broker.Errorf(broker.Invalid, "the Idempotency-Key %s", text)
	}
	quoted := strings.HasPrefix(s, `"`)
	if quoted {
		s = s[1:]
	}
	var key strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '"':
			if i != len(s)-1 {
				return bad("goes on behind its closing quote")
			}
			s, quoted = s[:i], false
			continue
		case quoted && c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return bad("has a backslash before neither a quote nor a backslash")
			}
			c = s[i]
		case quoted && c == ' ':
		case c <= ' ' || c >= 0x7f:
			return bad("has a character that is not visible ASCII")
		case !quoted && strings.IndexByte(`",;\`, c) >= 0:
			return bad(`has one of "  , ; \ in it, and no quotes around it`)
		}
		key.WriteByte(c)
	}
	switch {
	case quoted:
		return bad("has no closing quote")
	case key.Len() == 0:
		return bad("is empty")
	case key.Len() > maxKeyBytes:
		return "", broker.Errorf(broker.TooLarge, "the Idempotency-Key has %d bytes, more than the limit of %d", key.Len(), maxKeyBytes)
	}
	return key.String(), nil
}

type digest [sha256.Size]byte

// keyed is a request that has an Idempotency-Key. What makes repeating it safe is not in this package: every item without an id gets an
// idempotency key of the engine's, so that it is stored once even if the first attempt was cut off in the middle, or waft was. Here is only
// told whether the same key comes with another body.
type keyed struct {
	name digest // of whoever sent it, and the key
	body digest // of the address, and the body
}

func newKeyed(who broker.Principal, key, path, body string) keyed {
	// Tokens of one holder may differ from one attempt to the next: neither their jti nor their time counts.
	return keyed{
		name: digestOf(who.Issuer, who.Subject, staticID(who), key),
		body: digestOf(path, body),
	}
}

func staticID(who broker.Principal) string {
	if who.Credential.Static {
		return who.Credential.ID
	}
	return ""
}

// digestOf tells lists of texts apart.
func digestOf(parts ...string) (d digest) {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	h.Sum(d[:0])
	return d
}

// mark gives the items without an id their idempotency keys. The body is in them: if it is another, and nobody remembers the first, it
// is published and not lost.
func (k keyed) mark(batch []broker.Publication) {
	var n [8]byte
	for i := range batch {
		if batch[i].IdempotencyKey != "" {
			continue
		}
		binary.BigEndian.PutUint64(n[:], uint64(i))
		d := digestOf(string(k.name[:]), string(k.body[:]), string(n[:]))
		batch[i].IdempotencyKey = "request:" + base64.RawURLEncoding.EncodeToString(d[:])
	}
}

// keys remembers with which body a key came, for a while.
type keys struct {
	// static
	window time.Duration
	most   int

	mu     sync.Mutex // guards the rest
	bodies map[digest]digest
	order  []keyAge // oldest first
}

type keyAge struct {
	name    digest
	expires time.Time
}

var errKeyReused = &wireError{
	http.StatusUnprocessableEntity, "idempotency_key_reused",
	"this Idempotency-Key came before with another body or another address; a new request needs a new key",
}

// use notes the request, and tells whether it repeats an earlier one. errKeyReused: the key came with another body.
func (x *keys) use(k keyed) (repeats bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(x.order) && (!now.Before(x.order[n].expires) || len(x.order)-n > x.most) {
		delete(x.bodies, x.order[n].name)
		n++
	}
	if x.order = x.order[n:]; len(x.order) == 0 {
		x.order = nil
	}
	if first, ok := x.bodies[k.name]; ok {
		if first != k.body {
			return false, errKeyReused
		}
		return true, nil
	}
	if len(x.order) == x.most {
		delete(x.bodies, x.order[0].name)
		x.order = x.order[1:]
	}
	if x.bodies == nil {
		x.bodies = map[digest]digest{}
	}
	x.bodies[k.name] = k.body
	x.order = append(x.order, keyAge{k.name, now.Add(x.window)})
	return false, nil
}

// once is keys.use, counted.
func (in *Intake) once(k keyed) error {
	if in == nil {
		return nil
	}
	repeats, err := in.keys.use(k)
	switch {
	case err != nil:
		in.counters.keysReused.Add(1)
	case repeats:
		in.counters.repeats.Add(1)
	}
	return err
}
