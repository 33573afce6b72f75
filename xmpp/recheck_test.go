package xmpp

import (
	"strings"
	"sync/atomic"
	"testing"

	"waft/broker"
)

// When the rules change, who may not listen any more hears so and nothing else, and comes back with them.
func TestRecheck(t *testing.T) {
	var closed atomic.Bool
	dialogue(t, func(o *setup) {
		o.broker.Authorizer = authorizerFunc(func(p broker.Pattern) bool { return closed.Load() && (p == "/a" || p == "/c/*") })
	}, func(w *world) {
		w.creates(alice, "/a", "notify_sub=1")
		w.subscribed(bob, "a", "bob@localhost")
		w.gets(told("alice@localhost", "<subscription node='/a' jid='bob@localhost' subscription='subscribed'/>"))
		w.subscribed(bob, "/b", "bob@localhost")
		w.subscribed(bob, "/c/*", bob)
		w.subscribed(carol, "/c/*", "carol@localhost")
		if n := w.svc.Recheck(t.Context()); n != 0 {
			t.Errorf("%d subscriptions have ended for nothing", n)
		}
		w.silent()
		closed.Store(true)
		if n := w.svc.Recheck(t.Context()); n != 3 {
			t.Errorf("%d subscriptions have ended", n)
		}
		w.gets(state("a", "bob@localhost", "none"), state("/c/*", bob, "none"), state("/c/*", "carol@localhost", "none"),
			told("alice@localhost", "<subscription node='/a' jid='bob@localhost' subscription='none'/>"))
		w.publish("/b", "1")
		w.gets(eventText("bob@localhost", "E", "/b", item("NEW", "1")))
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions><subscription node='/b' jid='bob@localhost' subscription='subscribed'/></subscriptions>")))
		w.answers(carol, "set", unsubscribing("/c/*", "carol@localhost"), result(carol, "")) // she does not want it back
		closed.Store(false)
		if n := w.svc.Recheck(t.Context()); n != 0 {
			t.Errorf("%d subscriptions have ended", n)
		}
		w.gets(state("a", "bob@localhost", "subscribed"), told("alice@localhost", "<subscription node='/a' jid='bob@localhost' subscription='subscribed'/>"))
		w.publish("/a", "1")
		w.publish("/c/1", "1")
		w.gets(eventText("bob@localhost", "E", "a", item("NEW", "1")))
		w.silent()
	})
}

// What somebody has subscribed to as an admin ends when he is none any more, before the answer that says so.
func TestAdminRemove_ends_what_only_an_admin_may_hear(t *testing.T) {
	dialogue(t, func(o *setup) {
		o.broker.Authorizer = authorizing(func(who broker.Principal, act broker.Action, p broker.Pattern) bool {
			manages := who.Subject == "alice@localhost" || who.Holds(broker.ActManage, "/**")
			return manages || act != broker.ActManage && !strings.HasPrefix(string(p), "/ops")
		})
		o.service.Principal = func(jid string) broker.Principal {
			who := principal(jid)
			if jid == "alice@localhost" {
				who.Grants = []broker.Grant{{Action: broker.ActManage, Pattern: "/**"}}
			}
			return who
		}
	}, func(w *world) {
		w.hears(alice, "admin-add bob@localhost", "bob@localhost is an admin", "")
		w.subscribed(bob, "/ops/1", "bob@localhost")
		w.subscribed(bob, "/a", "bob@localhost")
		w.chats(alice, "admin-remove bob@localhost", "")
		w.after("<message type='headline'")
		w.publish("/ops/1", "1")
		w.gets(state("/ops/1", "bob@localhost", "none"))
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")))
		w.chats(alice, "admin-add bob@localhost", "")
		w.after("<message type='headline'")
		w.gets(state("/ops/1", "bob@localhost", "subscribed"))
	})
}
