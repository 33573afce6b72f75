package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// operator is a principal for the tests, with all rights.
var operator = broker.Principal{Subject: "operator", Issuer: "test", Grants: []broker.Grant{
	{Action: broker.ActPublish, Pattern: "/**"}, {Action: broker.ActSubscribe, Pattern: "/**"}, {Action: broker.ActRead, Pattern: "/**"},
}}

func publishAs(t *testing.T, r *running, channel broker.Channel, id string) (broker.Receipt, error) {
	t.Helper()
	m := &broker.Message{Channel: channel, ID: id, Data: []byte(`"` + id + `"`)}
	return r.realms[0].broker.Publish(context.Background(), operator, m, broker.PublishOptions{IdempotencyKey: id})
}

func TestServe_data_positions_and_keys_stand_through_a_restart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	env := map[string]string{envRealmKey: goodKey}
	r := serve(t, env, "--data", data)
	first, err := publishAs(t, r, "/chat/x", "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publishAs(t, r, "/chat/x", "2"); err != nil {
		t.Fatal(err)
	}
	if code := r.stop(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, r.err.String())
	}

	r = serve(t, map[string]string{envRealmKey: goodKey, envData: data})
	if again, err := publishAs(t, r, "/chat/x", "1"); err != nil || !again.Duplicate || again.Position != first.Position {
		t.Errorf("repeating a publish of before: %+v, %v", again, err)
	}
	s, err := r.realms[0].broker.Open(broker.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Subscribe(t.Context(), operator, "/chat/x", broker.SubscribeOptions{Since: first.Position})
	if err != nil || !done.Recovered || done.Replayed != 1 {
		t.Errorf("resuming from a position of before: %+v, %v", done, err)
	}
	if _, err := publishAs(t, r, "/chat/x", "3"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range s.Drain(nil) {
		got = append(got, d.Message.ID)
	}
	if fmt.Sprint(got) != "[2 3]" {
		t.Errorf("the reader got %v", got)
	}
}

func TestServe_data_what_xmpp_users_made_stands_through_a_restart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var server *componentServer
	up := func() *running {
		server = newComponentServer(t, "c0mp0nent")
		text := "data = '" + data + "'\n" + strings.Replace(withLink, "127.0.0.1:1", server.address, 1) +
			"[[realm.xmpp.user]]\nmatch = 'alice@localhost'\npublish = ['/chat/*']\nsubscribe = ['/chat/*']\nread = ['/chat/*']\n"
		return serve(t, nil, "--config", writeConfig(t, text))
	}
	ask := func(r *running, requests ...string) {
		t.Helper()
		link := <-server.up
		for _, q := range requests {
			fmt.Fprint(link, q)
		}
		want := fmt.Sprintf(`waft_xmpp_requests_total{domain="waft.localhost",realm="default"} %d`, len(requests))
		for deadline := time.Now().Add(10 * time.Second); ; {
			if _, page := r.get(t, "/metrics"); strings.Contains(page, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the requests were not answered: %s", r.err.String())
			}
		}
	}
	const iq = "<iq type='%s' id='%d' from='alice@localhost/x' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>%s</pubsub></iq>"
	const owner = "<iq type='%s' id='%d' from='alice@localhost/x' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>%s</pubsub></iq>"
	form := func(kind, name, value string) string {
		return "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#" + kind + "</value></field>" +
			"<field var='pubsub#" + name + "'><value>" + value + "</value></field></x>"
	}
	r := up()
	ask(r, fmt.Sprintf(iq, "set", 1, "<create node='/chat/own'/><configure>"+form("node_config", "title", "My node")+"</configure>"),
		fmt.Sprintf(iq, "set", 2, "<subscribe node='/chat/own' jid='alice@localhost'/><options>"+form("subscribe_options", "show-values", "dnd")+"</options>"),
		fmt.Sprintf(owner, "set", 3, "<affiliations node='/chat/own'><affiliation jid='bob@localhost' affiliation='publish-only'/></affiliations>"),
		fmt.Sprintf(iq, "set", 4, "<publish node='/chat/own'><item id='kept'><json xmlns='urn:xmpp:json:0'>1</json></item></publish>"),
		fmt.Sprintf(iq, "set", 5, "<subscribe node='/chat/own' jid='alice@localhost/x'/>"))
	if code := r.stop(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, r.err.String())
	}
	if said := <-server.closed; strings.Contains(said, "type='error'") {
		t.Fatalf("before the restart: %s", said)
	}

	r = up()
	ask(r, fmt.Sprintf(iq, "get", 6, "<affiliations/>"), fmt.Sprintf(iq, "get", 7, "<subscriptions/>"),
		fmt.Sprintf(iq, "get", 8, "<options node='/chat/own' jid='alice@localhost'/>"), fmt.Sprintf(iq, "get", 9, "<items node='/chat/own'/>"),
		fmt.Sprintf(owner, "get", 10, "<configure node='/chat/own'/>"), fmt.Sprintf(owner, "get", 11, "<affiliations node='/chat/own'/>"))
	r.stop()
	said := <-server.closed
	for _, want := range []string{
		"node='/chat/own' affiliation='owner'", "jid='alice@localhost' subscription='subscribed'", "<value>dnd</value>", "<item id='kept'>",
		"<value>My node</value>", "jid='bob@localhost' affiliation='publish-only'",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("after the restart there is no %s in %s", want, said)
		}
	}
	if strings.Contains(said, "jid='alice@localhost/x' subscription") {
		t.Errorf("a temporary subscription is still there: %s", said)
	}
}

func TestServe_data_of_another_process_is_refused(t *testing.T) {
	data := t.TempDir()
	serve(t, map[string]string{envRealmKey: goodKey}, "--data", data)
	second := newTerminal(map[string]string{envRealmKey: goodKey})
	if code := second.run(t.Context(), []string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", data}); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if said := second.err.String(); !strings.Contains(said, "the data directory "+data+" is in use by another process") {
		t.Errorf("it said %s", said)
	}
}

func TestServe_data_a_full_disk_turns_readiness_off_and_refuses_what_is_kept(t *testing.T) {
	text := "data = '" + t.TempDir() + "'\n[disk]\nmin_free = 9000000000000000000\n" + withLink[:strings.Index(withLink, "[[realm.xmpp]]")] +
		"[[realm.rule]]\nmatch = '/live/**'\nhistory = { size = 0 }\n"
	r := serve(t, nil, "--config", writeConfig(t, text))
	if status, body := r.get(t, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "bytes left") {
		t.Errorf("readiness: %d %s", status, body)
	}
	if _, err := publishAs(t, r, "/chat/x", "1"); broker.KindOf(err) != broker.Unavailable {
		t.Errorf("publishing what is kept: %v", err)
	}
	if _, err := publishAs(t, r, "/live/x", "1"); err != nil {
		t.Errorf("publishing what is not kept: %v", err)
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, `waft_disk_up{fsync="always"} 0`) || !strings.Contains(page, "waft_disk_full_total 1") {
		t.Error("the metrics do not tell")
	}
}

// readEvent reads the next event of a stream but the one that says it is ready.
func readEvent(t *testing.T, r *bufio.Reader) (id, name, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("reading an event: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ": "); {
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			data = value
		case line == "" && data != "" && name != "ready":
			return id, name, data
		case line == "":
			name, data = "", ""
		}
	}
}

// A client of a wildcard has the places of a few channels; for the others it relies on the server to know what it has forgotten.
func TestServe_data_a_stream_that_resumes_after_a_restart_is_told_of_what_was_forgotten_and_of_nothing_else(t *testing.T) {
	data := t.TempDir()
	up := func(unkept string) *running {
		return serve(t, nil, "--config", writeConfig(t, "data = '"+data+"'\n[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '"+goodKey+"'\n"+
			"[realm.disk]\nmax_cached = 2\n[[realm.rule]]\nmatch = '"+unkept+"'\nhistory = { size = 0 }\n"))
	}
	events := func(r *running, id string) *bufio.Reader {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/realm/default/events?channel=/w/*&envelope=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		if id != "" {
			request.Header.Set("Last-Event-ID", id)
		}
		response, err := client(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return bufio.NewReader(response.Body)
	}
	publish := func(r *running, channel broker.Channel, id string) {
		t.Helper()
		if _, err := publishAs(t, r, channel, id); err != nil {
			t.Fatal(err)
		}
	}
	r := up("/live/*")
	stream := events(r, "")
	until(t, stream, `"resumed":`)
	publish(r, "/w/a", "1")
	id, _, _ := readEvent(t, stream)
	publish(r, "/w/b", "2") // which the client never gets
	for i := range 9 {
		publish(r, broker.Channel(fmt.Sprint("/live/", i)), "x")
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, `waft_history_evicted_total{realm="default"} `) || strings.Contains(page, `waft_history_evicted_total{realm="default"} 0`) {
		t.Fatal("nothing was evicted")
	}
	r.stop()

	r = up("/live/*")
	if _, name, text := readEvent(t, events(r, id)); name != "" || text != `"2"` {
		t.Errorf("after a restart that forgot nothing came %s %s", name, text)
	}
	r.stop()

	r = up("/w/b")
	publish(r, "/w/b", "3") // what is kept of the channel goes with this
	r.stop()

	r = up("/live/*")
	if _, name, text := readEvent(t, events(r, id)); name != "reset" || text != `{"channels":["/w/*"]}` {
		t.Errorf("after a restart and after a history was dropped came %s %s", name, text)
	}
	r.stop()
}
