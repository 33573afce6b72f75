package xmpp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

func (p *server) comes(jid, show string) {
	p.t.Helper()
	if show != "" {
		show = "<show>" + show + "</show>"
	}
	p.send("<presence from='" + jid + "' to='waft.localhost'>" + show + "</presence>")
	synctest.Wait()
}

func (p *server) goes(jid string) {
	p.t.Helper()
	p.send("<presence type='unavailable' from='" + jid + "' to='waft.localhost'/>")
	synctest.Wait()
}

// courted checks that the service asks to see somebody's presence.
func (p *server) courted(user string) {
	p.t.Helper()
	p.want("<presence type='subscribe' from='waft.localhost' to='" + user + "'/>")
}

// Checklist 79.
func TestPresence_based_delivery(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "presence_based_delivery=1", "send_last_published_item=on_sub_and_presence")
		w.subscribed(bob, "/a", "bob@localhost")
		w.courted("bob@localhost")
		w.subscribed(carol, "/a", carol)
		w.courted("carol@localhost")
		w.send("<presence type='subscribed' from='bob@localhost' to='waft.localhost'/>")
		w.publish("/a", "1")
		w.publish("/a", "2")
		w.silent() // nobody is there
		w.comes(bob, "")
		w.gets(stamped(w, "bob@localhost", "/a", item("NEW", "2")))
		w.comes(bob, "away")
		w.comes("bob@localhost/other", "")
		w.silent() // once
		w.publish("/a", "3")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "3")))
		w.goes(bob)
		w.publish("/a", "4")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "4")))
		w.goes("bob@localhost/other")
		w.publish("/a", "5")
		w.silent()
		w.comes(carol, "dnd")
		w.gets(stamped(w, carol, "/a", item("NEW", "5")))
		w.comes("carol@localhost/else", "")
		w.publish("/a", "6")
		w.gets(eventText(carol, "E", "/a", item("NEW", "6")))
		w.comes(bob, "")
		w.gets(stamped(w, "bob@localhost", "/a", item("NEW", "6")))
		w.goes(bob)
		w.comes(bob, "")
		w.silent() // he has had it
		// Who is known need not be asked again.
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		w.subscribed(bob, "/a", "bob@localhost")
		w.stanza() // the last item
		w.silent()
	})
}

// XEP-0060 §6.3: only while available as.
func TestPresence_show_values(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.answers(bob, "set", optionsOf("/a", "bob@localhost", showing("chat", "online")), result(bob, ""))
		w.courted("bob@localhost")
		w.hasOptions(bob, "/a", "bob@localhost", "1", "", "chat online")
		got := func(events bool) {
			t.Helper()
			w.publish("/a", "1")
			if events {
				w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")))
			}
			w.silent()
		}
		got(false)
		w.comes(bob, "")
		got(true)
		w.comes(bob, "dnd")
		got(false)
		w.comes("bob@localhost/other", "chat")
		got(true)
		w.comes("bob@localhost/other", "xa")
		got(false)
		w.comes(bob, "sleepy") // a word that nobody knows is mere availability
		got(true)
		w.goes("bob@localhost") // all of him
		got(false)
		w.answers(bob, "set", optionsOf("/a", "bob@localhost", showing("chat", "online", "away", "xa", "dnd")), result(bob, ""))
		w.hasOptions(bob, "/a", "bob@localhost", "1", "", anyShow)
		got(true) // no condition is no condition
	})
}

// XEP-0060 §12.4: a subscription that lasts as long as its user is online, by his wish or by the node's.
func TestPresence_temporary_subscriptions(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/temp", "tempsub=1")
		list := func(nodes ...string) {
			t.Helper()
			var b strings.Builder
			for _, n := range nodes {
				b.WriteString("<subscription node='" + n + "' jid='bob@localhost' subscription='subscribed'/>")
			}
			w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions>"+b.String()+"</subscriptions>")))
		}
		begin := func() {
			t.Helper()
			w.comes(bob, "")
			w.comes("bob@localhost/other", "")
			for _, node := range []string{"/stays", "/temp", "/wish"} {
				w.subscribed(bob, node, "bob@localhost")
			}
			w.prefers(bob, "/wish", "bob@localhost", "expire=presence")
			w.hasOptions(bob, "/wish", "bob@localhost", "1", "presence", anyShow)
			list("/stays", "/temp", "/wish")
			records := 0
			if err := w.opts.Store.Scan(t.Context(), "xmpp/waft.localhost/subscription/", func(broker.Record) bool { records++; return true }); err != nil || records != 1 {
				t.Errorf("%d subscriptions are stored, want 1, %v", records, err)
			}
		}
		begin()
		w.goes(bob)
		list("/stays", "/temp", "/wish") // he is still there
		w.goes("bob@localhost/other")
		list("/stays")
		begin()
		w.restart()
		list("/stays")
		// A node that becomes one of temporary subscriptions, and a wish that is taken back.
		begin()
		w.prefers(bob, "/wish", "bob@localhost", "expire=")
		w.configures(alice, "/temp", "tempsub=0")
		w.answers(bob, "set", unsubscribing("/temp", "bob@localhost"), result(bob, ""))
		w.subscribed(bob, "/temp", "bob@localhost")
		w.restart()
		list("/stays", "/temp", "/wish")
		w.configures(alice, "/temp", "tempsub=1")
		w.restart()
		list("/stays", "/wish")
		w.restart()
		list("/stays", "/wish")
	})
}

// Checklist 117: after the link was lost nobody knows where directed presence has gone. Users who can be asked are.
func TestPresence_after_an_outage_is_stale(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "presence_based_delivery=1")
		w.subscribed(bob, "/a", "bob@localhost")
		w.courted("bob@localhost")
		w.subscribed(carol, "/b", "carol@localhost")
		w.comes(bob, "dnd")
		w.answers(bob, "set", optionsOf("/a", "bob@localhost", showing("chat")), result(bob, ""))
		w.publish("/a", "0")
		w.silent()
		_ = w.conn.Close()
		synctest.Wait()
		w.accept()
		w.want("<presence type='probe' from='waft.localhost' to='bob@localhost'/>")
		w.silent()
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1"))) // in doubt it is delivered
		w.comes(bob, "dnd")
		w.publish("/a", "2")
		w.silent()
		_ = w.conn.Close()
		synctest.Wait()
		w.accept()
		w.stanza()
		w.goes(bob)
		w.publish("/a", "3")
		w.silent()
		if n := w.svc.Stats().Presences; n != 0 {
			t.Errorf("%d are online", n)
		}
	})
}

// The probes do not pile up while the link comes and goes, and end with it.
func TestPresence_probes_of_a_link_that_fails(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "presence_based_delivery=1")
		w.subscribed(bob, "/a", "bob@localhost")
		w.courted("bob@localhost")
		for range 3 {
			_ = w.conn.Close()
			synctest.Wait()
			w.accept()
			w.want("<presence type='probe' from='waft.localhost' to='bob@localhost'/>")
			w.silent()
		}
	})
}

// XEP-0060 §16.4.4, notify_sub: owners learn who comes and goes, whatever made him.
func TestOwners_are_told_of_subscriptions(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "notify_sub=1")
		w.affiliates(alice, "/a", "second@localhost owner")
		learn := func(jid, state string) {
			t.Helper()
			for _, o := range []string{"alice@localhost", "second@localhost"} {
				w.gets(told(o, "<subscription node='/a' jid='"+jid+"' subscription='"+state+"'/>"))
			}
		}
		w.subscribed(bob, "a", "bob@localhost")
		learn("bob@localhost", "subscribed")
		w.subscribed(bob, "/a", "bob@localhost")
		w.silent() // nothing new
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		learn("bob@localhost", "none")
		w.subscribed(bob, "/a", bob)
		learn(bob, "subscribed")
		w.goes(bob)
		learn(bob, "none")
		w.answers(alice, "set", ownerOf("<subscriptions node='/a'><subscription jid='x@localhost' subscription='subscribed'/></subscriptions>"), result(alice, ""))
		w.gets(state("/a", "x@localhost", "subscribed"))
		learn("x@localhost", "subscribed")
		w.answers(alice, "set", ownerOf("<subscriptions node='/a'><subscription jid='x@localhost' subscription='none'/></subscriptions>"), result(alice, ""))
		w.gets(state("/a", "x@localhost", "none"))
		learn("x@localhost", "none")
		w.subscribed(bob, "/a", "bob@localhost")
		learn("bob@localhost", "subscribed")
		w.prefers(bob, "/a", "bob@localhost", "expire="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		time.Sleep(2 * time.Hour)
		w.gets(state("/a", "bob@localhost", "none"))
		learn("bob@localhost", "none")
		w.comes(bob, "")
		w.subscribed(bob, "/a", "bob@localhost")
		learn("bob@localhost", "subscribed")
		w.prefers(bob, "/a", "bob@localhost", "expire=presence")
		w.goes(bob)
		learn("bob@localhost", "none")
		w.configures(alice, "/a", "access_model=authorize")
		w.petitions(bob, "/a", bob)
		w.gets(requestTo("alice@localhost", bob, "/a"), requestTo("second@localhost", bob, "/a"))
		w.send(decidingOn(alice, "/a", bob, "1"))
		w.gets(state("/a", bob, "subscribed"))
		learn(bob, "subscribed")
	})
}

// Nobody fills the table for others, and what was learnt on an earlier link gives way.
func TestWhereabouts_are_bounded(t *testing.T) {
	w := newWhereabouts(2, 5)
	for i := range 3 {
		for r := range 3 {
			w.arrive(fmt.Sprint(i), fmt.Sprint(r), showOf(""))
		}
	}
	if w.size() != 5 || w.turnedAway.Load() != 4 || w.present("2", "2/1", 0) || !w.present("2", "2/0", 0) || !w.present("2", "2", 0) {
		t.Errorf("%d are known, %d were not noted", w.size(), w.turnedAway.Load())
	}
	w.relinked()
	for i := range 3 {
		if w.knows(fmt.Sprint(i)) || !w.present(fmt.Sprint(i), "x@y/z", showOf("chat")) {
			t.Error("who is stale counts as present, and is not known")
		}
	}
	w.arrive("9", "0", showOf(""))
	if w.size() > 5 || !w.present("9", "9/0", 0) {
		t.Errorf("%d are known", w.size())
	}
	for i := range 10 {
		w.leave(fmt.Sprint(i), "")
	}
	if w.size() != 0 || len(w.users) != 0 {
		t.Errorf("%d are known when all have gone", w.size())
	}
	if !w.leave("1", "x") || !w.leave("1", "") {
		t.Error("who was never there is not offline")
	}
	w.arrive("1", "a", showOf(""))
	w.relinked()
	w.arrive("1", "b", showOf("")) // what was known of a is in doubt
	if w.size() != 1 || w.present("1", "1/a", 0) {
		t.Errorf("%d are known", w.size())
	}
}
