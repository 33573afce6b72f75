package httppub

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
)

// PublishLimits bounds what is published over HTTP, in messages a second. They may come in bursts of five seconds' worth. 0 sets no
// limit.
type PublishLimits struct {
	Key     int // of one holder of tokens, or of one API key
	Channel int // to one channel
	Address int // from one client address; of IPv6, from one /64
}

// SetLimits replaces IntakeOptions.Limits. The error is of kind Invalid.
func (in *Intake) SetLimits(l PublishLimits) error {
	if min(l.Key, l.Channel, l.Address) < 0 {
		return broker.Errorf(broker.Invalid, "the rates of an HTTP publish intake must not be negative")
	}
	in.rates.limits.Store(&limits{
		key: broker.PerSecond(l.Key, burst), channel: broker.PerSecond(l.Channel, burst), address: broker.PerSecond(l.Address, burst),
	})
	return nil
}

// burst is how many seconds' worth may come at once.
const burst = 5

// limits is PublishLimits made ready.
type limits struct{ key, channel, address broker.Rate }

func (l *limits) none() bool {
	return l.key.Unlimited() && l.channel.Unlimited() && l.address.Unlimited()
}

// maxTallies is how many of each sort may be known. One who is forgotten begins anew.
const maxTallies = 10_000

// rates knows what was published lately, by whom, from where and to what.
type rates struct {
	// static
	began  time.Time
	limits atomic.Pointer[limits]

	mu        sync.Mutex // guards the rest
	holders   broker.Tallies[holder]
	channels  broker.Tallies[broker.Channel]
	addresses broker.Tallies[netip.Prefix]
}

// holder is whose rate a request counts for. The zero holder is anonymous.
type holder struct {
	sort byte   // of id: an API key's, a subject, a token's jti, or of the key that signed a token that says nothing else
	id   string //
}

func holderOf(who broker.Principal) holder {
	switch {
	case who.Anonymous():
		return holder{}
	case who.Credential.Static:
		return holder{'a', who.Credential.ID}
	case who.Subject != "":
		return holder{'s', who.Subject}
	case who.Credential.ID != "":
		return holder{'t', who.Credential.ID}
	default:
		return holder{'k', who.Credential.Key}
	}
}

// claim is a use of one tally.
type claim struct {
	by    limitedBy
	rate  broker.Rate
	tally *broker.Tally
	n     int
	about broker.Channel
}

// take counts a batch for everything that it counts for, or for nothing: then the error, of kind RateLimited, says how long to wait,
// or, of kind TooLarge, that it is no use.
func (in *Intake) take(who broker.Principal, from netip.Prefix, batch []broker.Publication) ([]claim, error) {
	if in == nil {
		return nil, nil
	}
	l := in.rates.limits.Load()
	if l.none() || len(batch) == 0 {
		return nil, nil
	}
	in.rates.mu.Lock()
	defer in.rates.mu.Unlock()
	now := int64(time.Since(in.rates.began))
	claims := in.rates.claims(l, who, from, batch, now)
	for i, c := range claims {
		var err *broker.Error
		if c.n > c.rate.Burst() {
			err = broker.Errorf(broker.TooLarge, "the request has %d messages %s, of which %d may be published at once; send fewer at a time", c.n, c, c.rate.Burst())
		} else if wait := c.tally.Take(c.rate, now, c.n); wait > 0 {
			err = tooOften(c, wait)
		} else {
			continue
		}
		giveBack(claims[:i])
		in.counters.limited[c.by].Add(1)
		return nil, err
	}
	return claims, nil
}

func giveBack(claims []claim) {
	for _, c := range claims {
		c.tally.Return(c.rate, c.n)
	}
}

func tooOften(c claim, wait time.Duration) *broker.Error {
	return &broker.Error{
		Kind: broker.RateLimited, RetryAfter: wait,
		Text: fmt.Sprintf("too many messages %s; try again in %v", c, wait.Truncate(time.Second)+time.Second),
	}
}

// String goes on after "messages".
func (c claim) String() string {
	switch c.by {
	case byKey:
		return "with this token or key"
	case byChannel:
		return "to " + string(c.about)
	case byAddress, limitedBys:
	}
	return "from your address"
}

// claims lists what the batch counts for. What has no limit is not among it.
func (x *rates) claims(l *limits, who broker.Principal, from netip.Prefix, batch []broker.Publication, now int64) []claim {
	claims := make([]claim, 0, 3)
	if !l.address.Unlimited() && from.IsValid() {
		claims = append(claims, claim{by: byAddress, rate: l.address, tally: x.addresses.Of(from, maxTallies, now), n: len(batch)})
	}
	if h := holderOf(who); !l.key.Unlimited() && h != (holder{}) {
		claims = append(claims, claim{by: byKey, rate: l.key, tally: x.holders.Of(h, maxTallies, now), n: len(batch)})
	}
	if l.channel.Unlimited() {
		return claims
	}
	first := len(claims)
	seen := map[broker.Channel]int{} // place among the claims
	for _, p := range batch {
		c := p.Message.Channel
		if at, ok := seen[c]; ok {
			claims[at].n++
			continue
		}
		seen[c] = first + len(seen)
		claims = append(claims, claim{by: byChannel, rate: l.channel, tally: x.channels.Of(c, maxTallies, now), n: 1, about: c})
	}
	return claims
}

// early refuses a request from an address that has used up its rate, before anything else of it is looked at.
func (in *Intake) early(from netip.Prefix) error {
	if in == nil {
		return nil
	}
	l := in.rates.limits.Load()
	if l.address.Unlimited() || !from.IsValid() {
		return nil
	}
	in.rates.mu.Lock()
	wait := in.rates.addresses.Look(from, l.address, int64(time.Since(in.rates.began)))
	in.rates.mu.Unlock()
	if wait == 0 {
		return nil
	}
	in.counters.limited[byAddress].Add(1)
	return tooOften(claim{by: byAddress}, wait)
}
