package xmpp

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

const subscribeOptions = "http://jabber.org/protocol/pubsub#subscribe_options"

// optionsForm is the form with a subscription's options; shows are separated by spaces.
func optionsForm(deliver, expire, shows string) string {
	b := "<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'><value>" + subscribeOptions + "</value></field>" +
		"<field var='pubsub#deliver' type='boolean' label='Receive items'><value>" + deliver + "</value></field>" +
		"<field var='pubsub#expire' type='text-single' label='When the subscription ends: a DateTime, or presence'><value>" + expire + "</value></field>" +
		"<field var='pubsub#show-values' type='list-multi' label='Receive items only while available as'>"
	for s := range strings.FieldsSeq(shows) {
		b += "<value>" + s + "</value>"
	}
	return b + "<option><value>away</value></option><option><value>chat</value></option><option><value>dnd</value></option>" +
		"<option><value>online</value></option><option><value>xa</value></option></field></x>"
}

const anyShow = "away chat dnd online xa"

func optionsOf(node, jid, inside string) string {
	return pubsubOf("<options node='" + node + "' jid='" + jid + "'>" + inside + "</options>")
}

// showing is a form that chooses among presences.
func showing(values ...string) string {
	return "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#show-values'><value>" + strings.Join(values, "</value><value>") + "</value></field></x>"
}

func (p *server) hasOptions(from, node, jid, deliver, expire, shows string) {
	p.t.Helper()
	p.answers(from, "get", optionsOf(node, jid, ""), result(from, optionsOf(node, jid, optionsForm(deliver, expire, shows))))
}

func (p *server) prefers(from, node, jid string, fields ...string) {
	p.t.Helper()
	p.answers(from, "set", optionsOf(node, jid, submitting(subscribeOptions, fields...)), result(from, ""))
}

// Checklist 72: they are shown, changed, kept, and do what they say.
func TestOptions(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(bob, "get", pubsubOf("<default/>"), result(bob, pubsubOf("<default>"+optionsForm("1", "", anyShow)+"</default>")))
		w.answers(bob, "get", pubsubOf("<default node='a'/>"), result(bob, pubsubOf("<default node='a'>"+optionsForm("1", "", anyShow)+"</default>")))
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(bob, "/*", bob)
		w.hasOptions(bob, "/a", "bob@localhost", "1", "", anyShow)
		w.prefers(bob, "a", "bob@localhost", "deliver=false")
		w.hasOptions("bob@localhost/else", "/a", "bob@localhost", "0", "", anyShow)
		w.hasOptions(bob, "/*", bob, "1", "", anyShow)
		w.publish("/a", "1")
		w.gets(eventText(bob, "E", "/a", item("NEW", "1")))
		w.silent()
		w.restart()
		w.hasOptions(bob, "/a", "bob@localhost", "0", "", anyShow)
		w.publish("/a", "2")
		w.silent()
		w.answers(bob, "set", optionsOf("/a", "bob@localhost", "<x xmlns='jabber:x:data' type='cancel'/>"), result(bob, ""))
		w.prefers(bob, "/a", "bob@localhost", "nothing=x", "digest=0", "include_body=false")
		w.hasOptions(bob, "/a", "bob@localhost", "0", "", anyShow)
		w.subscribed(bob, "a", "bob@localhost") // again, which changes the spelling and nothing else
		w.hasOptions(bob, "a", "bob@localhost", "0", "", anyShow)
		w.prefers(bob, "/a", "bob@localhost", "deliver=1")
		w.publish("/a", "3")
		w.gets(eventText("bob@localhost", "E", "a", item("NEW", "3")))
		// Somebody mute is still told that the node is gone.
		w.creates(alice, "/b")
		w.subscribed(bob, "/b", "bob@localhost")
		w.prefers(bob, "/b", "bob@localhost", "deliver=0")
		w.answers(alice, "set", ownerOf("<delete node='/b'/>"), result(alice, ""))
		w.gets(told("bob@localhost", "<delete node='/b'/>"))
	})
}

// Checklist 72: subscribe and configure.
func TestOptions_with_a_subscription(t *testing.T) {
	with := func(node string, fields ...string) string {
		return pubsubOf("<subscribe node='" + node + "' jid='bob@localhost'/><options>" + submitting(subscribeOptions, fields...) + "</options>")
	}
	dialogue(t, nil, func(w *world) {
		subscribed := result(bob, pubsubOf("<subscription node='/a' jid='bob@localhost' subscription='subscribed'/>"))
		w.answers(bob, "set", with("/a", "deliver=0"), subscribed)
		w.hasOptions(bob, "/a", "bob@localhost", "0", "", anyShow)
		w.answers(bob, "set", with("/a"), subscribed) // no wish
		w.hasOptions(bob, "/a", "bob@localhost", "0", "", anyShow)
		w.answers(bob, "set", with("/a", "deliver=1"), subscribed)
		w.restart()
		w.hasOptions(bob, "/a", "bob@localhost", "1", "", anyShow)
		w.answers(bob, "set", with("/b", "deliver=perhaps"), refused(bob, "modify: bad-request + invalid-options", `"pubsub#deliver" cannot be "perhaps"`))
		w.answers(bob, "get", pubsubOf("<subscriptions node='/b'/>"), result(bob, pubsubOf("<subscriptions node='/b'></subscriptions>")))
		// They wait with a request, and come into force with the owner's yes.
		w.creates(alice, "/c", "access_model=authorize")
		w.answers(bob, "set", with("/c", "deliver=0"), result(bob, pubsubOf("<subscription node='/c' jid='bob@localhost' subscription='pending'/>")))
		w.stanza()
		w.restart()
		w.hasOptions(bob, "/c", "bob@localhost", "0", "", anyShow)
		w.send(decidingOn(alice, "/c", "bob@localhost", "1"))
		w.gets(state("/c", "bob@localhost", "subscribed"))
		w.publish("/c", "1")
		w.silent()
		w.restart()
		w.hasOptions(bob, "/c", "bob@localhost", "0", "", anyShow)
		w.prefers(bob, "/c", "bob@localhost", "deliver=1")
		w.publish("/c", "1")
		w.gets(eventText("bob@localhost", "E", "/c", item("NEW", "1")))
	})
}

// Checklist 72.
func TestOptions_refuses(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		set := func(fields ...string) string {
			return optionsOf("/a", "bob@localhost", submitting(subscribeOptions, fields...))
		}
		for _, c := range []struct{ typ, payload, shape, text string }{
			{"get", optionsOf("/a", "carol@localhost", ""), "auth: forbidden", "only the options of your own subscription are yours"},
			{"get", optionsOf("/a", bob, ""), "modify: unexpected-request + not-subscribed", "there is no such subscription to have options"},
			{"get", optionsOf("/b", "bob@localhost", ""), "modify: unexpected-request + not-subscribed", "there is no such subscription to have options"},
			{"get", pubsubOf("<options node='/a'/>"), "modify: bad-request + jid-required", "the jid is missing"},
			{"get", pubsubOf("<options jid='bob@localhost'/>"), "modify: bad-request + nodeid-required", "the node is missing"},
			{"get", pubsubOf("<options node='/a' jid='bob@localhost' subid='x'/>"), "modify: not-acceptable + invalid-subid", "subscriptions have no subid here"},
			{"get", optionsOf("/secret/1", "bob@localhost", ""), "cancel: item-not-found", noNode},
			{"get", pubsubOf("<default node='/secret/1'/>"), "cancel: item-not-found", noNode},
			{"set", pubsubOf("<default/>"), "modify: bad-request", "this request is made with the other of the iq types get and set"},
			{"set", optionsOf("/a", "carol@localhost", submitting(subscribeOptions, "deliver=0")), "auth: forbidden", "only the options of your own subscription are yours"},
			{"set", optionsOf("/a", "bob@localhost", ""), "modify: bad-request + invalid-options", "there is no form with the options of a subscription"},
			{"set", set("deliver=2"), "modify: bad-request + invalid-options", `"pubsub#deliver" cannot be "2"`},
			{"set", set("deliver=0", "expire=soon"), "modify: bad-request + invalid-options", `"pubsub#expire" cannot be "soon"`},
			{"set", set("expire=1999-12-31T23:00:00Z"), "modify: bad-request + invalid-options", `"pubsub#expire" cannot be "1999-12-31T23:00:00Z"`},
			{"set", set("digest=1"), "modify: bad-request + invalid-options", `"pubsub#digest" is not offered`},
			{"set", set("deliver=0", "include_body=true"), "modify: bad-request + invalid-options", `"pubsub#include_body" is not offered`},
			{"set", optionsOf("/a", "bob@localhost", showing("chat", "here")), "modify: bad-request + invalid-options", `show-values cannot have "here"; it has some of ["away" "chat" "dnd" "online" "xa"]`},
			{
				"set", optionsOf("/a", "bob@localhost", submitting(nodeConfig, "deliver=0")), "modify: bad-request + invalid-options",
				`the form is of the type "http://jabber.org/protocol/pubsub#node_config"; it must be ` + subscribeOptions,
			},
			{
				"set", optionsOf("/a", "bob@localhost", "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#deliver'><value>1</value><value>0</value></field></x>"),
				"modify: bad-request + invalid-options", `"pubsub#deliver" has more than one value`,
			},
		} {
			w.answers(bob, c.typ, c.payload, refused(bob, c.shape, c.text))
		}
		w.hasOptions(bob, "/a", "bob@localhost", "1", "", anyShow)
	})
}

// XEP-0060 §12.18: a subscription with a term ends by itself, can be renewed, and its term outlasts a restart.
func TestOptions_a_subscription_with_a_term(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		in := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(time.RFC3339) }
		w.subscribed(bob, "a", "bob@localhost")
		w.subscribed(bob, "/a", bob)
		first := in(time.Hour)
		w.prefers(bob, "/a", "bob@localhost", "expire="+first)
		w.hasOptions(bob, "/a", "bob@localhost", "1", first, anyShow)
		time.Sleep(50 * time.Minute)
		w.prefers(bob, "/a", "bob@localhost", "expire="+in(time.Hour))
		time.Sleep(50 * time.Minute)
		w.restart()
		w.subscribed(bob, "/a", bob)
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "a", item("NEW", "1")), eventText(bob, "E", "/a", item("NEW", "1")))
		time.Sleep(11 * time.Minute)
		w.gets(state("a", "bob@localhost", "none"))
		w.publish("/a", "2")
		w.gets(eventText(bob, "E", "/a", item("NEW", "2")))
		// Taken back in time.
		w.prefers(bob, "/a", bob, "expire="+in(time.Hour))
		w.prefers(bob, "/a", bob, "expire=")
		w.subscribed(bob, "/b", "bob@localhost")
		w.prefers(bob, "/b", "bob@localhost", "expire="+in(time.Hour))
		w.answers(bob, "set", unsubscribing("/b", "bob@localhost"), result(bob, ""))
		time.Sleep(2 * time.Hour)
		w.silent()
		w.publish("/a", "3")
		w.gets(eventText(bob, "E", "/a", item("NEW", "3")))
		// While the service was away.
		w.prefers(bob, "/a", bob, "expire="+in(time.Hour))
		w.subscribed(bob, "/a", "bob@localhost")
		w.prefers(bob, "/a", "bob@localhost", "expire="+in(time.Hour))
		w.stop()
		time.Sleep(2 * time.Hour)
		w.start()
		w.accept()
		w.gets(state("/a", "bob@localhost", "none"))
		w.publish("/a", "4")
		w.silent()
	})
}

// A store that is down when the term ends is asked again, and what it does not take has not changed.
func TestOptions_while_the_store_is_down(t *testing.T) {
	store := &downStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		store.down.Store(true)
		w.answers(bob, "set", optionsOf("/a", "bob@localhost", submitting(subscribeOptions, "deliver=0")), refused(bob, "wait: recipient-unavailable", "the store is down"))
		store.down.Store(false)
		w.hasOptions(bob, "/a", "bob@localhost", "1", "", anyShow)
		w.prefers(bob, "/a", "bob@localhost", "expire="+time.Now().UTC().Add(time.Hour).Format(time.RFC3339))
		store.down.Store(true)
		time.Sleep(2 * time.Hour)
		w.silent()
		store.down.Store(false)
		time.Sleep(2 * time.Minute)
		w.gets(state("/a", "bob@localhost", "none"))
	})
}

// downStore takes no changes while it is down.
type downStore struct {
	broker.Store
	down atomic.Bool
}

func (s *downStore) Put(ctx context.Context, r broker.Record) (uint64, error) {
	if s.down.Load() {
		return 0, broker.Errorf(broker.Unavailable, "the store is down")
	}
	return s.Store.Put(ctx, r)
}

func (s *downStore) Delete(ctx context.Context, key string) error {
	if s.down.Load() {
		return broker.Errorf(broker.Unavailable, "the store is down")
	}
	return s.Store.Delete(ctx, key)
}

// A later version may know more shows; the records stay readable.
func TestPreferences_are_written_by_name(t *testing.T) {
	b, err := json.Marshal(shelved{Version: 1, JID: "a@b", Pattern: "/a", Options: preferences{Shows: showOf("chat") | showOf("")}})
	if err != nil || string(b) != `{"v":1,"jid":"a@b","pattern":"/a","options":{"shows":["chat","online"]}}` {
		t.Errorf("%s, %v", b, err)
	}
	var back shelved
	if err := json.Unmarshal([]byte(`{"options":{"shows":["chat","asleep"]}}`), &back); err != nil || back.Options.Shows != showOf("chat") {
		t.Errorf("%v, %v", back.Options.Shows, err)
	}
	if b, _ = json.Marshal(shelved{JID: "a@b"}); strings.Contains(string(b), "options") {
		t.Errorf("%s", b)
	}
}

// The node opens between the look at it and the record of the request: nobody is left waiting.
func TestAuthorize_a_node_that_opens_meanwhile(t *testing.T) {
	store := &fussyStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		store.before = func(string) {
			store.before = nil
			if _, err := w.svc.nodes.update(t.Context(), "/a", func(l *leaf) error { l.Config.AccessModel = accessOpen; return nil }); err != nil {
				t.Error(err)
			}
		}
		w.petitions(bob, "/a", "bob@localhost")
		w.gets(requestTo("alice@localhost", "bob@localhost", "/a"), state("/a", "bob@localhost", "subscribed"))
		synctest.Wait()
		w.lists(alice, "/a", "bob@localhost subscribed")
	})
}
