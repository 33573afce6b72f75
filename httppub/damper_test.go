package httppub

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"waft/broker"
)

// Publishing and reading have one Damper: what an address tries at one door counts at the other.
func TestDamper_bad_tokens_of_an_address_are_refused_unread(t *testing.T) {
	damper, err := broker.NewDamper(4, 10)
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddr("192.0.2.1")
	client := func(*http.Request) netip.Addr { return from }
	l := openLibrary(t, func(o *ReaderOptions) { o.Damper, o.ClientAddress = damper, client })
	d := openDoor(t, Options{}, broker.Options{})
	h, err := New(Options{ClientAddress: client, Realm: func(string) (Realm, bool) {
		return Realm{Broker: d.broker, Authenticator: keyring{}, Damper: damper}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = h
	l.publish(t, "/news", "1", "1")
	publish := func(token string) (int, http.Header) {
		w := d.post("/realm/myrealm/publish/", `{"items":[{"fpp":1,"channel":"open"}]}`, header("Authorization", token))
		if w.Code == http.StatusTooManyRequests {
			expectAnswer(t, w, 429, "too many credentials of this address were refused")
		}
		return w.Code, w.Header()
	}
	read := func(token string) (int, http.Header) {
		w := l.get("channels/news/messages", header("Authorization", token))
		return w.Code, w.Header()
	}
	for _, c := range []struct {
		try    func(string) (int, http.Header)
		token  string
		status int
	}{
		{publish, "Bearer good", 200},
		{publish, "Bearer bad", 401}, // 1
		{read, "Bearer bad", 401},    // 2
		{read, "Basic dTpw", 401},    // no token, and nothing to look at
		{publish, "", 200},
		{publish, "Bearer bad", 401}, // 3
		{publish, "Bearer narrow", 200},
		{read, "Bearer bad", 401}, // 4
		{publish, "Bearer bad", 429},
		{read, "Bearer bad", 429},
		{read, "Bearer read", 429}, // good, and not seen before
		{publish, "Bearer good", 200},
		{publish, "", 200},
		{read, "", 200},
	} {
		status, header := c.try(c.token)
		if status != c.status || (header.Get("Retry-After") == "5") != (status == 429) {
			t.Errorf("%q: %d with Retry-After %q, want %d", c.token, status, header.Get("Retry-After"), c.status)
		}
	}
	from = netip.MustParseAddr("192.0.2.2")
	if status, _ := publish("Bearer bad"); status != http.StatusUnauthorized {
		t.Errorf("another address: %d", status)
	}
	if s := damper.Stats(); s.Bad != 5 || s.Unread != 3 || s.Addresses != 2 {
		t.Errorf("%+v", s)
	}
	if n := l.Stats().Refused[broker.RateLimited]; n != 2 {
		t.Errorf("the reader counted %d", n)
	}
}

func TestReader_limits_can_change(t *testing.T) {
	l := openLibrary(t)
	l.fill(t, "/news", 5)
	entries := func() int {
		return strings.Count(l.get("channels/news/messages").Body.String(), `"position"`)
	}
	all := entries()
	if err := l.SetLimits(ReaderLimits{MaxPage: 2}); err != nil {
		t.Fatal(err)
	}
	if n := entries(); all-n != 3 {
		t.Errorf("%d entries, and before %d", n, all)
	}
	if err := l.SetLimits(ReaderLimits{MaxHeld: -1}); broker.KindOf(err) != broker.Invalid {
		t.Errorf("a negative limit: %v", err)
	}
	if n := entries(); all-n != 3 {
		t.Errorf("%d entries after a refused change", n)
	}
}
