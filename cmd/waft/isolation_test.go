package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"waft/auth"
)

// What belongs to one realm means nothing in another, on every door, even where both have the same key and the same
// names.

const (
	twoRealms = "[[realm]]\nid = 'a'\n" + sharedKey + "%s" + "[[realm]]\nid = 'b'\n" + sharedKey
	sharedKey = "[[realm.key]]\nid = 'k'\nsecret = '" + goodKey + "'\n[[realm.rule]]\nmatch = '/closed/**'\nsubscribe = 'token'\nhistory = { size = 10 }\n"
)

func realmToken(t *testing.T, realm string) string {
	t.Helper()
	secret, err := auth.ParseSecret(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Mint(auth.Key{ID: "k", Secret: secret}, realm, auth.Claims{Subject: "alice", Rights: new(auth.Everything())})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// bayeuxPost sends messages by long-polling.
func (r *running) bayeuxPost(t *testing.T, realm, token, messages string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/realm/"+realm+"/bayeux", strings.NewReader(messages))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const hello = `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]%s}]`

// clientID is that of a new session.
func (r *running) clientID(t *testing.T, realm, token string) string {
	t.Helper()
	reply := r.bayeuxPost(t, realm, token, fmt.Sprintf(hello, ""))
	_, after, ok := strings.Cut(reply, `"clientId":"`)
	id, _, _ := strings.Cut(after, `"`)
	if !ok || !strings.Contains(reply, `"successful":true`) {
		t.Fatalf("handshake in realm %s: %s", realm, reply)
	}
	return id
}

func TestRealms_share_no_credential_on_any_door(t *testing.T) {
	_, stdout, _ := run(t, nil, "token", "api-key", "--id", "k")
	apiKey, table, _ := strings.Cut(stdout, "\n\n")
	r := serve(t, nil, "--config", writeConfig(t, fmt.Sprintf(twoRealms, table+"subscribe = ['/**']\n")))
	for name, credential := range map[string]string{"a token": realmToken(t, "a"), "an API key": apiKey} {
		for realm, good := range map[string]bool{"a": true, "b": false} {
			status, text := post(t, r.url()+"/realm/"+realm+"/publish/", credential, `{"items":[{"channel":"/x","json-object":1}]}`)
			if want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[good]; status != want {
				t.Errorf("%s of realm a publishes over HTTP in realm %s: %d %s", name, realm, status, text)
			}
			for place, reply := range map[string]string{
				"header": r.bayeuxPost(t, realm, credential, fmt.Sprintf(hello, "")),
				"ext":    r.bayeuxPost(t, realm, "", fmt.Sprintf(hello, `,"ext":{"token":"`+credential+`"}`)),
			} {
				if strings.Contains(reply, `"successful":true`) != good {
					t.Errorf("%s of realm a in the %s of a handshake in realm %s: %s", name, place, realm, reply)
				}
			}
			session := r.clientID(t, realm, "")
			for channel, message := range map[string]string{
				"subscribe": `[{"channel":"/meta/subscribe","clientId":"%s","subscription":"/closed/x","ext":{"token":"%s"}}]`,
				"publish":   `[{"channel":"/x","clientId":"%s","data":{},"ext":{"token":"%s"}}]`,
			} {
				if reply := r.bayeuxPost(t, realm, "", fmt.Sprintf(message, session, credential)); strings.Contains(reply, `"successful":true`) != good {
					t.Errorf("%s of realm a with a %s in realm %s: %s", name, channel, realm, reply)
				}
			}
		}
	}
}

func TestRealms_share_no_session(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, fmt.Sprintf(twoRealms, "")))
	session := r.clientID(t, "a", realmToken(t, "a"))
	for _, message := range []string{
		`[{"channel":"/meta/connect","clientId":"%s","connectionType":"long-polling","advice":{"timeout":0}}]`,
		`[{"channel":"/meta/subscribe","clientId":"%s","subscription":"/x"}]`,
		`[{"channel":"/x","clientId":"%s","data":{}}]`,
		`[{"channel":"/meta/disconnect","clientId":"%s"}]`,
	} {
		message = fmt.Sprintf(message, session)
		for _, token := range []string{"", realmToken(t, "b")} {
			if reply := r.bayeuxPost(t, "b", token, message); strings.Contains(reply, `"successful":true`) {
				t.Errorf("a session of realm a in realm b: %s: %s", message, reply)
			}
		}
	}
	if reply := r.bayeuxPost(t, "a", "", fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":"%s","subscription":"/closed/x"}]`, session)); !strings.Contains(reply, `"successful":true`) {
		t.Errorf("in its own realm it lives, with what it came with: %s", reply)
	}
}

func TestRealms_share_no_channel_and_no_idempotency_key(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, fmt.Sprintf(twoRealms, "")))
	b := subscribe(t, nil, "--server", r.url(), "--realm", "b", "--token", realmToken(t, "b"), "--count", "1", "/closed/x")
	for _, realm := range []string{"a", "b"} { // the same id in both: neither is the other's duplicate
		status, text := post(t, r.url()+"/realm/"+realm+"/publish/", realmToken(t, realm), `{"items":[{"channel":"/closed/x","id":"1","json-object":{"from":"`+realm+`"}}]}`)
		if status != http.StatusOK || strings.Contains(text, `"duplicate":true`) {
			t.Errorf("realm %s: %d %s", realm, status, text)
		}
	}
	if code := <-b.done; code != exitOK || b.out.String() != `{"channel":"/closed/x","data":{"from":"b"}}`+"\n" {
		t.Errorf("a subscriber in realm b got %s", b.out.String())
	}
	_, metrics := r.get(t, "/metrics")
	for _, realm := range []string{"a", "b"} {
		if !strings.Contains(metrics, `waft_messages_published_total{realm="`+realm+`"} 1`) {
			t.Errorf("realm %s did not count one message", realm)
		}
	}
}

func TestRealms_share_no_XMPP_user(t *testing.T) {
	xmpp := newComponentServer(t, "s")
	link := "[[realm.xmpp]]\ndomain = 'waft.localhost'\nserver = '" + xmpp.address + "'\nsecret = 's'\n[[realm.xmpp.user]]\nmatch = 'alice@localhost'\npublish = ['/**']\n"
	r := serve(t, nil, "--config", writeConfig(t, fmt.Sprintf(twoRealms, link)))
	a := subscribe(t, nil, "--server", r.url(), "--realm", "a", "--count", "1", "/x")
	b := subscribe(t, nil, "--server", r.url(), "--realm", "b", "--count", "1", "/x")
	fmt.Fprint(<-xmpp.up, "<iq type='set' id='1' from='alice@localhost/x' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"+
		"<publish node='/x'><item><json xmlns='urn:xmpp:json:0'>{\"from\":\"alice\"}</json></item></publish></pubsub></iq>")
	if code := <-a.done; code != exitOK {
		t.Fatal(a.err.String())
	}
	if status, text := post(t, r.url()+"/realm/b/publish/", realmToken(t, "b"), `{"items":[{"channel":"/x","json-object":{"from":"b"}}]}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if code := <-b.done; code != exitOK || !strings.Contains(b.out.String(), `{"from":"b"}`) {
		t.Errorf("a subscriber in realm b got %s, what a user of realm a's link published", b.out.String())
	}
	// A token that says it is alice has what it says, and nothing of hers.
	secret, _ := auth.ParseSecret(goodKey)
	token, err := auth.Mint(auth.Key{ID: "k", Secret: secret}, "a", auth.Claims{Subject: "alice@localhost", Rights: &auth.Rights{}})
	if err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, r.url()+"/realm/a/publish/", token, `{"items":[{"channel":"/x","json-object":1}]}`); status != http.StatusForbidden {
		t.Errorf("a token with a user's name: %d %s", status, text)
	}
}
