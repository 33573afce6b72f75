package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

// The program's own keys and verifier behind the API by stanza: a token makes an admin, who publishes, and makes a token.
func TestRealm_its_tokens_make_admins_by_xmpp_and_admins_make_tokens(t *testing.T) {
	secret, err := auth.ParseSecret(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Mint(auth.Key{Secret: secret}, defaultRealm, auth.Claims{Lifetime: time.Minute, Rights: &auth.Rights{Publish: []broker.Pattern{"/chat/*"}, Manage: true}})
	if err != nil {
		t.Fatal(err)
	}
	server := newComponentServer(t, "c0mp0nent")
	r := serve(t, map[string]string{envRealmKey: goodKey}, "--config", writeConfig(t, strings.Replace(withLink, "127.0.0.1:1", server.address, 1)))
	s := subscribe(t, nil, "--server", r.url(), "--count", "1", "/chat/*")
	link := <-server.up
	says := func(body string) {
		fmt.Fprintf(link, "<message type='chat' from='bob@localhost/x' to='waft.localhost'><body>%s</body></message>", body)
	}
	says("publish /chat/x 1") // not yet
	says("admin-add --token " + token)
	says("token --publish /chat/y --lifetime 1h")
	says("token --publish /other")
	says("publish /chat/x 2")
	if code := <-s.done; code != exitOK || !strings.Contains(s.out.String(), `"data":2`) {
		t.Errorf("a subscriber got %s, %s", s.out.String(), s.err.String())
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	said := <-server.closed
	made := regexp.MustCompile(`token: ([A-Za-z0-9_.-]+)`).FindStringSubmatch(said)
	if made == nil || !strings.Contains(said, "no: you cannot let others publish to /other") {
		t.Fatalf("the link said %s", said)
	}
	who, err := r.realms[0].access.Authenticate(t.Context(), made[1])
	if err != nil || len(who.Grants) != 1 || !who.Holds(broker.ActPublish, "/chat/y") {
		t.Errorf("the token is of %+v, %v", who, err)
	}
	if log := r.err.String(); strings.Contains(log, token) || strings.Contains(log, made[1]) {
		t.Errorf("a token is in the log:\n%s", log)
	}
}

// By stanza as by signal: it is done, or it says why not. What is minted then is signed with the key in effect.
func TestRealm_admins_reload_by_xmpp(t *testing.T) {
	const other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	server := newComponentServer(t, "c0mp0nent")
	text := strings.Replace(withLink, "127.0.0.1:1", server.address, 1) + "[[realm.xmpp.user]]\nmatch = 'alice@localhost'\nmanage = true\npublish = ['/x']\n"
	r := serveReloadable(t, nil, text)
	s := subscribe(t, nil, "--server", r.url(), "--count", "1", "/x")
	link := <-server.up
	says := func(body string) {
		fmt.Fprintf(link, "<message type='chat' from='alice@localhost/x' to='waft.localhost'><body>%s</body></message>", body)
	}
	if err := os.WriteFile(r.path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	says("reload")
	if !r.err.waitFor(t.Context(), "the configuration was not reloaded") {
		t.Fatal(r.err.String())
	}
	if err := os.WriteFile(r.path, []byte(strings.Replace(text, goodKey, other, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	says("reload")
	if !r.err.waitFor(t.Context(), `msg="reloaded`) {
		t.Fatal(r.err.String())
	}
	says("token --publish /x")
	says("publish /x 1")
	if code := <-s.done; code != exitOK {
		t.Error(s.err.String())
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	said := <-server.closed
	made := regexp.MustCompile(`token: ([A-Za-z0-9_.-]+)`).FindStringSubmatch(said)
	if made == nil || !strings.Contains(said, "no: nothing has changed: ") || !strings.Contains(said, "the configuration has been loaded") {
		t.Fatalf("the link said %s", said)
	}
	if _, err := r.realms[0].access.Authenticate(t.Context(), made[1]); err != nil {
		t.Errorf("the token is signed with an old key: %v", err)
	}
}

// What a reload forbids ends for XMPP users too.
func TestReload_ends_subscriptions_by_xmpp(t *testing.T) {
	server := newComponentServer(t, "c0mp0nent")
	text := strings.Replace(withLink, "127.0.0.1:1", server.address, 1) + "[[realm.xmpp.user]]\nmatch = 'alice@localhost'\nmanage = true\npublish = ['/x']\nsubscribe = ['/x']\n"
	r := serveReloadable(t, nil, text)
	s := subscribe(t, nil, "--server", r.url(), "--count", "1", "/x")
	link := <-server.up
	fmt.Fprint(link, "<iq type='set' id='s1' from='alice@localhost/x' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='/x' jid='alice@localhost'/></pubsub></iq>"+
		"<message type='chat' from='alice@localhost/x' to='waft.localhost'><body>publish /x 1</body></message>")
	if code := <-s.done; code != exitOK { // what she has sent first is done
		t.Error(s.err.String())
	}
	if log := r.reload(text + "[[realm.rule]]\nmatch = '/x'\nsubscribe = 'nobody'\n"); !strings.Contains(log, "subscriptions_ended=1") {
		t.Errorf("the log says %s", log)
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if said := <-server.closed; !strings.Contains(said, "<subscription node='/x' jid='alice@localhost' subscription='none'/>") {
		t.Errorf("the link said %s", said)
	}
}
