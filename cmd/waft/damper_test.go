package main

import (
	"net/http"
	"strings"
	"testing"
)

// Publishing, reading and events share what an address may try; the limit can be changed while waft runs.
func TestHTTP_bad_tokens_are_damped_on_every_door_and_SIGHUP_changes_how_many(t *testing.T) {
	const text = "trusted_proxies = ['127.0.0.1']\n" + reloadBase + "[[realm.key]]\nsecret = '" + goodKey + "'\n[realm.http]\nbad_tokens_per_address = "
	r := serveReloadable(t, nil, text+"3\n")
	token, fresh := mint(t, goodKey), mint(t, goodKey)
	doors := map[string]func(token, from string) int{
		"publish": func(token, from string) int {
			status, _ := r.call(t, http.MethodPost, "/realm/default/publish/x", token, "X-Forwarded-For", from)
			return status
		},
		"read": func(token, from string) int {
			status, _ := r.call(t, http.MethodGet, "/realm/default/channels/x/messages", token, "X-Forwarded-For", from)
			return status
		},
		"events": func(token, from string) int {
			status, _ := r.call(t, http.MethodGet, "/realm/default/events?channel=/x&access_token="+token, "", "X-Forwarded-For", from)
			return status
		},
	}
	if status := doors["read"](token, "192.0.2.9"); status != http.StatusOK {
		t.Fatalf("the good token: %d", status)
	}
	for _, door := range []string{"publish", "read", "events"} {
		if status := doors[door]("bad", "192.0.2.1"); status != http.StatusUnauthorized {
			t.Errorf("%s: a bad token: %d", door, status)
		}
	}
	for door, try := range doors {
		for _, one := range []string{"bad", fresh} {
			if status := try(one, "192.0.2.1"); status != http.StatusTooManyRequests {
				t.Errorf("%s: a token of an address that has used up its three: %d", door, status)
			}
		}
	}
	if status := doors["read"](token, "192.0.2.1"); status != http.StatusOK {
		t.Errorf("the token that is known to be good: %d", status)
	}
	if status := doors["read"]("bad", "192.0.2.2"); status != http.StatusUnauthorized {
		t.Errorf("another address: %d", status)
	}
	_, metrics := r.get(t, "/metrics")
	for _, want := range []string{
		`waft_http_bad_tokens_total{realm="default"} 4`, `waft_http_tokens_damped_total{realm="default"} 6`, `waft_http_bad_token_addresses{realm="default"} 2`,
		`waft_events_refused_total{realm="default",reason="credential_damped"} 2`, `waft_http_refused_total{kind="rate_limited",realm="default"} 2`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	if log := r.reload(text + "100\n"); !strings.Contains(log, `msg="reloaded`) {
		t.Fatal(log)
	}
	if status := doors["publish"]("bad", "192.0.2.1"); status != http.StatusUnauthorized {
		t.Errorf("below the new limit: %d", status)
	}
}

func TestReload_changes_the_limits_of_reading(t *testing.T) {
	const key = "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	r := serveReloadable(t, nil, reloadBase+key)
	if status, body := post(t, r.url()+"/realm/default/publish/x/", mint(t, goodKey), `{"items":[{"fpp":1},{"fpp":2},{"fpp":3}]}`); status != http.StatusOK {
		t.Fatal(body)
	}
	messages := func() int {
		_, body := r.call(t, http.MethodGet, "/realm/default/channels/x/messages", "")
		return strings.Count(body, `"data"`)
	}
	if n := messages(); n != 3 {
		t.Fatalf("%d messages", n)
	}
	if log := r.reload(reloadBase + key + "[realm.http]\nmax_page = 2\nmax_page_bytes = 7000\npage_age = '7s'\nmax_wait = '7s'\nmax_held = 7\nmax_held_per_address = 7\n"); !strings.Contains(log, `msg="reloaded`) {
		t.Fatal(log)
	}
	if n := messages(); n != 2 {
		t.Errorf("%d messages with max_page = 2", n)
	}
	if log := r.reload(reloadBase + key + "[realm.http]\norigins = ['*']\n"); !strings.Contains(log, "restart it for realm.http.origins") {
		t.Errorf("other origins: the log says %s", log)
	}
	if n := messages(); n != 2 {
		t.Errorf("%d messages after a reload that changed nothing", n)
	}
}
