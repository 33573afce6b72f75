package broker

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// lookedAt counts what it is asked, and takes what begins with "good".
type lookedAt struct{ n int }

func (l *lookedAt) Authenticate(_ context.Context, credential string) (Principal, error) {
	l.n++
	switch credential[:4] {
	case "good":
		return Principal{Subject: "s"}, nil
	case "late":
		return Principal{}, &Error{Kind: Unauthenticated, Text: "late", Err: ErrCredentialExpired}
	case "when":
		return Principal{}, Errorf(Unavailable, "later")
	}
	return Principal{}, Errorf(Unauthenticated, "bad")
}

// damped is a Damper in a bubble of time, and a way to show it credentials from addresses.
func dampedTest(t *testing.T, limit, remember int, test func(t *testing.T, d *Damper, l *lookedAt, show func(from, credential string) error)) {
	synctest.Test(t, func(t *testing.T) {
		d, err := NewDamper(limit, remember)
		if err != nil {
			t.Fatal(err)
		}
		l := &lookedAt{}
		test(t, d, l, func(from, credential string) error {
			_, err := d.From(netip.MustParseAddr(from), l).Authenticate(t.Context(), credential)
			return err
		})
	})
}

func TestDamper_looks_at_so_many_bad_ones_and_then_at_one_in_a_while(t *testing.T) {
	dampedTest(t, 3, 0, func(t *testing.T, d *Damper, l *lookedAt, show func(string, string) error) {
		for range 3 {
			for _, harmless := range []string{"good", "late", "when"} {
				_ = show("192.0.2.1", harmless)
			}
			if err := show("192.0.2.1", "bad!"); KindOf(err) != Unauthenticated {
				t.Fatal(err)
			}
		}
		if l.n != 12 {
			t.Errorf("%d looked at", l.n)
		}
		for range 5 {
			for _, credential := range []string{"good", "late", "when", "bad!"} {
				if err := show("192.0.2.1", credential); !errors.Is(err, ErrDamped) || KindOf(err) != RateLimited {
					t.Errorf("%s: %v", credential, err)
				}
			}
		}
		if l.n != 12 {
			t.Errorf("%d looked at when the three were used up", l.n)
		}
		if err := show("192.0.2.2", "good"); err != nil {
			t.Errorf("another address: %v", err)
		}
		if s := d.Stats(); s.Bad != 3 || s.Unread != 20 || s.Addresses != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(DamperPause - 1)
		if err := show("192.0.2.1", "good"); !errors.Is(err, ErrDamped) {
			t.Errorf("just before the pause is over: %v", err)
		}
		time.Sleep(time.Nanosecond)
		for range 10 { // good ones use nothing up
			if err := show("192.0.2.1", "good"); err != nil {
				t.Errorf("after it: %v", err)
			}
		}
		if err := show("192.0.2.1", "bad!"); KindOf(err) != Unauthenticated {
			t.Errorf("one in a while: %v", err)
		}
		if err := show("192.0.2.1", "bad!"); !errors.Is(err, ErrDamped) {
			t.Errorf("and the next: %v", err)
		}
		time.Sleep(3 * DamperPause)
		if _ = show("192.0.2.1", "good"); d.Stats().Addresses != 0 {
			t.Error("an address at rest is remembered")
		}
	})
}

func TestDamper_takes_a_network_of_IPv6_for_one_address(t *testing.T) {
	dampedTest(t, 1, 0, func(t *testing.T, _ *Damper, _ *lookedAt, show func(string, string) error) {
		_ = show("2001:db8::1", "bad!")
		if err := show("2001:db8::2:3", "good"); !errors.Is(err, ErrDamped) {
			t.Errorf("the same network: %v", err)
		}
		if err := show("2001:db8:0:1::1", "good"); err != nil {
			t.Errorf("another: %v", err)
		}
	})
}

func TestDamper_looks_at_what_was_good_lately(t *testing.T) {
	dampedTest(t, 1, 4, func(t *testing.T, _ *Damper, l *lookedAt, show func(string, string) error) {
		_ = show("192.0.2.7", "good, from elsewhere")
		_ = show("192.0.2.1", "bad!")
		before := l.n
		if err := show("192.0.2.1", "good, from elsewhere"); err != nil || l.n != before+1 {
			t.Errorf("%v, looked at %d times", err, l.n-before)
		}
		if err := show("192.0.2.1", "good, and new"); !errors.Is(err, ErrDamped) {
			t.Errorf("a new one: %v", err)
		}
		// It remembers four: what has not been seen for so many others is forgotten.
		for i := range 4 {
			_ = show("192.0.2.7", "good"+strconv.Itoa(i))
		}
		if err := show("192.0.2.1", "good, from elsewhere"); !errors.Is(err, ErrDamped) {
			t.Errorf("after four others: %v", err)
		}
		for _, known := range []string{"good1", "good2", "good3"} {
			if err := show("192.0.2.1", known); err != nil {
				t.Errorf("one of these, %s: %v", known, err)
			}
		}
	})
}

func TestDamper_forgets_addresses_when_there_are_too_many(t *testing.T) {
	dampedTest(t, 1, 0, func(t *testing.T, d *Damper, _ *lookedAt, show func(string, string) error) {
		a := netip.MustParseAddr("10.0.0.1")
		for range maxDampedAddresses + 500 {
			_ = show(a.String(), "bad!")
			a = a.Next()
		}
		if n := d.Stats().Addresses; n != maxDampedAddresses {
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

func TestDamper_limits_can_change_and_none_is_none(t *testing.T) {
	dampedTest(t, 1, 0, func(t *testing.T, d *Damper, l *lookedAt, show func(string, string) error) {
		_ = show("192.0.2.1", "bad!")
		if err := d.SetLimit(2); err != nil {
			t.Fatal(err)
		}
		if err := show("192.0.2.1", "good"); err != nil {
			t.Errorf("below the new limit: %v", err)
		}
		if err := d.SetLimit(-1); KindOf(err) != Invalid {
			t.Errorf("a negative limit: %v", err)
		}
		if d.From(netip.Addr{}, l) != Authenticator(l) || (*Damper)(nil).From(netip.MustParseAddr("192.0.2.1"), l) != Authenticator(l) {
			t.Error("without an address, or a Damper, something is in between")
		}
		if d.From(netip.MustParseAddr("192.0.2.1"), nil) != nil {
			t.Error("a realm that knows no tokens has got an Authenticator")
		}
		if (*Damper)(nil).Stats() != (DamperStats{}) {
			t.Error("no Damper has counted")
		}
	})
}

func BenchmarkDamper_good_credential(b *testing.B) {
	d, err := NewDamper(0, 10_000)
	if err != nil {
		b.Fatal(err)
	}
	l, from := &lookedAt{}, netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = d.From(from, l).Authenticate(b.Context(), "good")
	}
}
