package httppub

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

func asHolder(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

func fromAddress(a string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = a } }

func messages(n int, channel string) string {
	return `{"items":[` + strings.Repeat(`{"channel":"`+channel+`","fpp":1},`, n-1) + `{"channel":"` + channel + `","fpp":1}]}`
}

const publishPath = "/realm/myrealm/publish/"

func TestRates_of_a_key(t *testing.T) {
	ordered(t, IntakeOptions{Limits: PublishLimits{Key: 2}}, func(t *testing.T, d *door) {
		expectAnswer(t, d.post(publishPath, messages(9, "news")), 200, "Published")
		w := d.post(publishPath, messages(2, "news"), wantsJSON)
		expectAnswer(t, w, 429, `{"message":"too many messages with this token or key; try again in 1s","code":"rate_limited"}`)
		if got := w.Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After: %q", got)
		}
		expectAnswer(t, d.post(publishPath, messages(1, "news")), 200, "Published") // what is refused does not count
		w = d.post(publishPath, messages(4, "news"))
		if got := w.Header().Get("Retry-After"); w.Code != 429 || got != "2" {
			t.Errorf("%d, Retry-After: %q", w.Code, got)
		}
		expectAnswer(t, d.post(publishPath, messages(1, "open/a"), func(r *http.Request) { r.Header.Del("Authorization") }), 200, "Published") // has none
		if n := len(d.received()); n != 11 {
			t.Errorf("%d were published", n)
		}
		time.Sleep(500 * time.Millisecond)
		expectAnswer(t, d.post(publishPath, messages(1, "news")), 200, "Published")
		expectAnswer(t, d.post(publishPath, messages(1, "news")), 429, "")
		if s := d.intake.Stats(); s.Limited["key"] != 3 || s.Refused[broker.RateLimited] != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRates_holders(t *testing.T) {
	key := func(id string, static bool) broker.Credential {
		return broker.Credential{ID: id, Key: "main", Static: static}
	}
	seen := map[holder]string{}
	for _, who := range []broker.Principal{
		{},
		{Issuer: "r", Credential: key("", false)},
		{Issuer: "r", Credential: key("1", false)},
		{Issuer: "r", Credential: key("1", true)},
		{Issuer: "r", Subject: "1", Credential: key("1", false)},
		{Issuer: "r", Subject: "main", Credential: key("2", false)},
	} {
		h := holderOf(who)
		if was, ok := seen[h]; ok {
			t.Errorf("%+v counts as %s", who, was)
		}
		seen[h] = fmt.Sprintf("%+v", who)
	}
	a := holderOf(broker.Principal{Issuer: "r", Subject: "ann", Credential: key("1", false)})
	if b := holderOf(broker.Principal{Issuer: "r", Subject: "ann", Credential: key("2", false)}); a != b {
		t.Error("two tokens of one holder have two rates")
	}
}

func TestRates_of_a_channel(t *testing.T) {
	ordered(t, IntakeOptions{Limits: PublishLimits{Channel: 1}}, func(t *testing.T, d *door) {
		expectAnswer(t, d.post(publishPath, messages(4, "a")), 200, "")
		// All or nothing, and b has lost nothing by it.
		w := d.post(publishPath, `{"items":[{"channel":"b","fpp":1},{"channel":"a","fpp":1},{"channel":"a","fpp":1},{"channel":"b","fpp":1}]}`)
		expectAnswer(t, w, 429, "too many messages to /a; try again in 2s")
		expectAnswer(t, d.post(publishPath, messages(5, "b")), 200, "")
		expectAnswer(t, d.post(publishPath, messages(6, "c")), 413, "the request has 6 messages to /c, of which 5 may be published at once; send fewer at a time")
		d.received()
		expectAnswer(t, d.post(publishPath, messages(1, "a"), asHolder(narrowToken)), 403, "") // counts for nothing
		expectAnswer(t, d.post(publishPath, messages(1, "a")), 200, "")
		d.expect(t, "/a 1")
	})
}

func TestRates_of_an_address(t *testing.T) {
	ordered(t, IntakeOptions{Limits: PublishLimits{Address: 1}}, func(t *testing.T, d *door) {
		at := fromAddress("[2001:db8::1]:1")
		expectAnswer(t, d.post(publishPath, messages(5, "a"), at), 200, "")
		neighbour := fromAddress("[2001:db8::2]:1")
		w := d.post(publishPath, "{", neighbour, asHolder("wrong")) // neither its body nor its token is looked at
		expectAnswer(t, w, 429, "too many messages from your address; try again in 2s")
		if got := w.Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After: %q", got)
		}
		expectAnswer(t, d.post(publishPath, messages(1, "a"), fromAddress("[2001:db8:0:1::]:1")), 200, "")
		expectAnswer(t, d.post(publishPath, messages(1, "a"), fromAddress("@")), 200, "") // nobody's
		time.Sleep(time.Second)
		expectAnswer(t, d.post(publishPath, messages(2, "a"), at), 429, "")
		expectAnswer(t, d.post(publishPath, messages(1, "a"), at), 200, "")
	})
}

// The realm's own rate comes last, and what it refuses has not counted for the others.
func TestRates_beside_that_of_the_realm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoorWith(t, Options{}, broker.Options{Publishes: broker.PerSecond(1, 2)}, IntakeOptions{Limits: PublishLimits{Key: 1, Channel: 1, Address: 1}})
		expectAnswer(t, d.post(publishPath, messages(2, "a")), 200, "")
		var w *httptest.ResponseRecorder
		for range 5 {
			w = d.post(publishPath, messages(2, "a"))
			expectAnswer(t, w, 429, "items[0]: too many messages are being published; try again in 3s")
		}
		if got := w.Header().Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After: %q", got)
		}
		time.Sleep(3 * time.Second)
		expectAnswer(t, d.post(publishPath, messages(2, "a")), 200, "")
	})
}

func TestRates_can_be_set_anew(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		expectAnswer(t, d.post(publishPath, messages(100, "a")), 200, "")
		if err := d.intake.SetLimits(PublishLimits{Channel: 1}); err != nil {
			t.Fatal(err)
		}
		expectAnswer(t, d.post(publishPath, messages(5, "a")), 200, "")
		expectAnswer(t, d.post(publishPath, messages(1, "a")), 429, "")
		if err := d.intake.SetLimits(PublishLimits{Channel: -1}); broker.KindOf(err) != broker.Invalid {
			t.Errorf("a negative rate: %v", err)
		}
		if err := d.intake.SetLimits(PublishLimits{}); err != nil {
			t.Fatal(err)
		}
		expectAnswer(t, d.post(publishPath, messages(100, "a")), 200, "")
	})
}
