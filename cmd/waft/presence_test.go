package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const withPresence = `
[[realm]]
id = "default"
[[realm.key]]
secret = "` + goodKey + `"
[[realm.rule]]
match = "/**"
publish = "anyone"
[realm.presence]
match = ["/chat/**"]
interval = "200ms"
grace = "200ms"
[[realm.xmpp]]
domain = "waft.localhost"
server = "%s"
secret = "c0mp0nent"
[[realm.xmpp.user]]
match = '*'
publish = ['/**']
subscribe = ['/**']
`

// presenceSaid is what a subscriber has heard so far.
func presenceSaid(s *subscriber) (said []string) {
	for line := range strings.Lines(s.out.String()) {
		var m struct{ Data json.RawMessage }
		if json.Unmarshal([]byte(line), &m) == nil {
			said = append(said, string(m.Data))
		}
	}
	return said
}

func TestPresence_over_every_door(t *testing.T) {
	server := newComponentServer(t, "c0mp0nent")
	r := serve(t, nil, "--config", writeConfig(t, fmt.Sprintf(withPresence, server.address)))
	link := <-server.up
	mint := func(subject string) string {
		code, out, stderr := run(t, map[string]string{envRealmKey: goodKey}, "token", "mint", "--subject", subject)
		if code != exitOK {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(out)
	}
	ear := subscribe(t, nil, "--server", r.url(), "/chat/42/presence")
	hears := func(want string) {
		t.Helper()
		if !ear.out.waitFor(t.Context(), want) {
			t.Fatalf("not heard: %s\n%s", want, ear.out.String())
		}
	}

	// A Bayeux session with a token, one without, and an XMPP user.
	alice := bayeuxSession(t, r, mint("alice"), "/chat/42")
	hears(`"joined":["alice"]`)
	bayeuxSession(t, r, "", "/chat/42")
	hears(`"anonymous":1`)
	iq := func(id, body string) {
		fmt.Fprintf(link, "<iq type='set' id='%s' from='juliet@localhost/x' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>%s</pubsub></iq>", id, body)
	}
	iq("1", "<subscribe node='/chat/42' jid='juliet@localhost'/>")
	hears(`"joined":["juliet@localhost"]`)

	_, page := r.get(t, "/realms/default/subscribers?pattern=/chat/42")
	if want := `{"realm":"default","pattern":"/chat/42","subscribers":3,"readers":3,"receivers":3}` + "\n"; page != want {
		t.Errorf("the admin listener says %s, want %s", page, want)
	}

	post(t, r.url()+"/bayeux/disconnect", "", `[{"channel":"/meta/disconnect","clientId":"`+alice+`","id":"9"}]`)
	hears(`"left":["alice"]`)
	iq("2", "<unsubscribe node='/chat/42' jid='juliet@localhost'/>")
	hears(`"left":["juliet@localhost"]`)

	// Nobody speaks there but the server, whatever he may do elsewhere.
	heard := len(presenceSaid(ear))
	token := mint("mallory")
	if status, answer := post(t, r.url()+"/realm/default/publish/", token, `{"items":[{"channel":"chat/42/presence","json-object":1}]}`); status != http.StatusForbidden {
		t.Errorf("publishing over HTTP: %d %s", status, answer)
	}
	id := bayeuxSession(t, r, token, "/other")
	if _, answer := post(t, r.url()+"/bayeux", token, `[{"channel":"/chat/42/presence","data":1,"clientId":"`+id+`","id":"7"}]`); !strings.Contains(answer, `"successful":false`) || !strings.Contains(answer, `"403:`) {
		t.Errorf("publishing over Bayeux: %s", answer)
	}
	iq("3", "<publish node='/chat/42/presence'><item><json xmlns='urn:xmpp:json:0'>1</json></item></publish>")
	iq("4", "<publish node='/chat/42'><item><json xmlns='urn:xmpp:json:0'>1</json></item></publish>")
	if status, answer := post(t, r.url()+"/realm/default/publish/", token, `{"items":[{"channel":"chat/42","json-object":1}]}`); status != http.StatusOK {
		t.Errorf("publishing beside it: %d %s", status, answer)
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, `waft_presence_channels{realm="default"} 1`) {
		t.Error("the metrics do not tell of the presence")
	}

	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if said := presenceSaid(ear); len(said) != heard {
		t.Errorf("heard beside: %q", said[heard:])
	}
	answers := <-server.closed
	if !strings.Contains(answers, "<forbidden") || strings.Count(answers, "type='error'")+strings.Count(answers, `type="error"`) != 1 {
		t.Errorf("XMPP was answered %s", answers)
	}
}

// bayeuxSession is a session over long-polling with a subscription.
func bayeuxSession(t *testing.T, r *running, token, channel string) (id string) {
	t.Helper()
	id = handshake(t, r.url()+"/bayeux", token)
	body := fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":%q,"subscription":%q,"id":"1"}]`, id, channel)
	if _, answer := post(t, r.url()+"/bayeux", token, body); !strings.Contains(answer, `"successful":true`) {
		t.Fatalf("subscribing to %s: %s", channel, answer)
	}
	return id
}

func TestPresence_is_off_by_default(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	if r.realms[0].presence != nil {
		t.Error("there is a tracker")
	}
}

func TestAdmin_tells_how_many_are_subscribed(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	for i := range 3 {
		bayeuxSession(t, r, "", fmt.Sprintf("/chat/%d", i%2))
	}
	bayeuxSession(t, r, "", "/chat/*")
	for query, want := range map[string]string{
		"pattern=/chat/0":     `{"realm":"default","pattern":"/chat/0","subscribers":2,"readers":2,"receivers":3}`,
		"pattern=chat/1":      `{"realm":"default","pattern":"/chat/1","subscribers":1,"readers":1,"receivers":2}`,
		"pattern=%2Fchat%2F*": `{"realm":"default","pattern":"/chat/*","subscribers":1,"readers":1}`,
		"pattern=/none":       `{"realm":"default","pattern":"/none","subscribers":0,"readers":0,"receivers":0}`,
	} {
		if status, page := r.get(t, "/realms/default/subscribers?"+query); status != http.StatusOK || strings.TrimSpace(page) != want {
			t.Errorf("%s: %d %s, want %s", query, status, page, want)
		}
	}
	for path, want := range map[string]int{
		"/realms/other/subscribers?pattern=/a": http.StatusNotFound, "/realms/default/subscribers": http.StatusBadRequest,
		"/realms/default/subscribers?pattern=/a//b": http.StatusBadRequest,
	} {
		if status, page := r.get(t, path); status != want {
			t.Errorf("%s: %d %s", path, status, page)
		}
	}
}
