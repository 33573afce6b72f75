package broker

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Damper bounds how many bad credentials of one address are looked at. One cannot be guessed, but trying costs the server, and a
// flood of wrong ones is somebody's mistake or somebody's attempt. So an address has some number of bad ones; when they are used up,
// its credentials are refused without a look, but for one in a while. A good one costs nothing, and is let through again
// as soon as the bad ones stop. What has expired was good, and does not count.
//
// Looks that overlap are all taken: how many there are is bounded by whoever counts requests. A nil Damper damps nothing.
type Damper struct {
	// static
	began    time.Time
	seed     maphash.Seed
	remember int

	rate        atomic.Pointer[Rate]
	bad, unread atomic.Uint64

	mu        sync.Mutex // guards the rest
	addresses map[netip.Prefix]*Tally
	good, old map[uint64]struct{} // hashes of credentials that were good, the newer and the older half
}

// DamperPause is the time between two looks at credentials of an address that has sent too many bad ones.
const DamperPause = 5 * time.Second

// ErrDamped refuses a credential unread.
var ErrDamped error = &Error{Kind: RateLimited, Text: "too many credentials of this address were refused; try again later"}

const (
	damperDefault      = 20     // bad credentials
	maxDampedAddresses = 10_000 // beyond it some are forgotten, which lets them off
)

// NewDamper makes one that looks at so many bad credentials in a row; 0 means 20. It remembers (as a hash) so many that were good lately,
// and looks at them whatever their address does: where every request brings one, a stranger behind the same router or proxy must not
// shut out those who are known. 0: none. The error is of kind Invalid.
func NewDamper(limit, remember int) (*Damper, error) {
	d := &Damper{began: time.Now(), seed: maphash.MakeSeed(), remember: max(remember, 0), addresses: map[netip.Prefix]*Tally{}}
	return d, d.SetLimit(limit)
}

// SetLimit replaces NewDamper's limit. The error is of kind Invalid.
func (d *Damper) SetLimit(limit int) error {
	if limit < 0 {
		return Errorf(Invalid, "the limit of bad credentials must not be negative")
	}
	d.rate.Store(new(NewRate(DamperPause, cmp.Or(limit, damperDefault))))
	return nil
}

// From verifies with tokens what comes from an address; without one nothing is damped. Its errors are those of tokens, and ErrDamped.
func (d *Damper) From(a netip.Addr, tokens Authenticator) Authenticator {
	if d == nil || tokens == nil || !a.IsValid() {
		return tokens
	}
	return &damped{d, Network(a), tokens}
}

type damped struct {
	damper *Damper
	from   netip.Prefix
	tokens Authenticator
}

// Authenticate implements Authenticator.
func (x *damped) Authenticate(ctx context.Context, credential string) (Principal, error) {
	d := x.damper
	var hash uint64
	if d.remember > 0 {
		hash = maphash.String(d.seed, credential)
	}
	if d.tooMany(x.from, hash) {
		d.unread.Add(1)
		return Principal{}, ErrDamped
	}
	who, err := x.tokens.Authenticate(ctx, credential)
	switch {
	case err == nil:
		d.wasGood(hash)
	case KindOf(err) == Unauthenticated && !errors.Is(err, ErrCredentialExpired):
		d.wasBad(x.from)
	}
	return who, err
}

func (d *Damper) now() int64 { return int64(time.Since(d.began)) }

// tooMany tells whether the address has sent so many bad ones that this one is not looked at.
func (d *Damper) tooMany(from netip.Prefix, hash uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, now := d.addresses[from], d.now()
	switch {
	case t == nil:
		return false
	case t.Idle(now):
		delete(d.addresses, from)
		return false
	}
	return t.Wait(*d.rate.Load(), now) > 0 && !d.knows(hash)
}

func (d *Damper) wasBad(from netip.Prefix) {
	d.bad.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	now, t := d.now(), d.addresses[from]
	if t == nil {
		if len(d.addresses) >= maxDampedAddresses {
			d.makeRoom(now)
		}
		t = &Tally{}
		d.addresses[from] = t
	}
	t.Take(*d.rate.Load(), now, 1)
}

// makeRoom forgets one of a few addresses, at rest if there is such a one. To look at all for each new one would be a flood of its own.
func (d *Damper) makeRoom(now int64) {
	var victim netip.Prefix
	looked := 0
	for who, t := range d.addresses { // begins somewhere else each time
		victim = who
		if looked++; t.Idle(now) || looked == 16 {
			break
		}
	}
	delete(d.addresses, victim)
}

// knows tells whether a credential has been good. The hash decides about a look at it, and nothing else. Under d.mu.
func (d *Damper) knows(hash uint64) bool {
	if d.remember == 0 {
		return false
	}
	_, newer := d.good[hash]
	_, older := d.old[hash]
	return newer || older
}

// wasGood remembers it. When the newer half is full it becomes the older one, and what has not been seen since the last time is forgotten.
func (d *Damper) wasGood(hash uint64) {
	if d.remember == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.good[hash]; ok {
		return
	}
	if d.good == nil || len(d.good) >= (d.remember+1)/2 {
		d.good, d.old = map[uint64]struct{}{}, d.good
	}
	d.good[hash] = struct{}{}
}

// DamperStats is a snapshot of a Damper's counts. The counters only grow; Addresses is what is now.
type DamperStats struct {
	Bad       uint64 // credentials found bad, of known addresses
	Unread    uint64 // refused without a look
	Addresses int    // that have sent bad ones lately
}

// Stats counts.
func (d *Damper) Stats() DamperStats {
	if d == nil {
		return DamperStats{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return DamperStats{Bad: d.bad.Load(), Unread: d.unread.Load(), Addresses: len(d.addresses)}
}
