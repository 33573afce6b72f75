package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"waft/auth"
)

// From POST to the XMPP server: with the rule of the configuration, and not without.
func TestRealm_a_published_item_carries_an_xmpp_message_where_a_rule_allows_it(t *testing.T) {
	secret, err := auth.ParseSecret(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Mint(auth.Key{Secret: secret}, defaultRealm, auth.Claims{Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	server := newComponentServer(t, "c0mp0nent")
	text := strings.Replace(withLink, "127.0.0.1:1", server.address, 1) + "[[realm.xmpp.stanza]]\nmatch = '/notify/*'\nto = ['@localhost']\n"
	r := serve(t, map[string]string{envRealmKey: goodKey}, "--config", writeConfig(t, text))
	<-server.up
	post := func(channel string) string {
		body := `{"items":[{"channel":"` + channel + `","xmpp-stanza":"<message to='bob@localhost' id='` + channel + `'><body>hi</body></message>"}]}`
		for deadline := time.Now().Add(10 * time.Second); ; {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/realm/default/publish/", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) { // the service learns of its link a moment later
				return string(answer)
			}
		}
	}
	if got := post("/notify/7"); !strings.Contains(got, "Published") {
		t.Error(got)
	}
	if got := post("/other"); !strings.Contains(got, "items[0]: items for /other may not carry an XMPP stanza: no rule allows it") {
		t.Error(got)
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	said := <-server.closed
	if !strings.Contains(said, "<message type='normal' id='/notify/7' from='waft.localhost' to='bob@localhost'><body>hi</body></message>") || strings.Contains(said, "/other") {
		t.Errorf("the link said %s", said)
	}
}
