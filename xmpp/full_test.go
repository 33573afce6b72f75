package xmpp

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// Checklist 46: a full node refuses, or shows the newest.
func TestPublish_to_a_full_node(t *testing.T) {
	const full = "the node is full: items have to be removed first"
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "max_items=3", "publish_node_full=reject", "publish_model=open")
		put := func(ids ...string) (items []string) {
			for _, id := range ids {
				items = append(items, item(id, "1"))
			}
			return items
		}
		ok := func(ids ...string) {
			t.Helper()
			w.answers(alice, "set", publishing("/a", put(ids...)...), published(alice, "/a", ids...))
		}
		no := func(ids ...string) {
			t.Helper()
			w.answers(alice, "set", publishing("/a", put(ids...)...), refused(alice, "cancel: conflict + node-full", full))
		}
		no("1", "2", "3", "4")
		ok("1", "2", "2", "1")
		no("3", "4")
		ok("3")
		no("4")
		no("")
		ok("1") // an item that is there takes no new place
		ok("2", "1")
		no("2", "4")
		w.answers(alice, "set", retracting("/a", " notify='0'", "<item id='3'/>"), result(alice, ""))
		ok("4")
		no("5")
		w.configures(alice, "/a", "item_expire=60")
		time.Sleep(2 * time.Minute)
		ok("5", "6", "7") // what is too old to be shown takes no place
		no("8")
		w.configures(alice, "/a", "publish_node_full=discard-oldest")
		ok("8")
		w.answers(alice, "get", wanting("node='/a'", "", ""), result(alice, retrieved("/a", strings.Join(put("6", "7", "8"), ""), "")))
	})
}

// The publisher may be somebody who may not read.
func TestPublish_to_a_full_node_that_the_publisher_cannot_read(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/inbox/1", "max_items=1", "publish_node_full=reject", "publish_model=open")
		w.answers(bob, "set", publishing("/inbox/1", item("1", "1")), published(bob, "/inbox/1", "1"))
		w.answers(bob, "set", publishing("/inbox/1", item("2", "1")), refused(bob, "cancel: conflict + node-full", "the node is full: items have to be removed first"))
	})
}

// Two who publish at once do not both get the last place.
func TestPublish_the_last_place_is_taken_once(t *testing.T) {
	dialogue(t, func(o *setup) {
		o.service.Workers = 4
		o.broker.Engine = polite{broker.NewMemoryEngine(broker.MemoryOptions{})}
		o.broker.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 100} }
	}, func(w *world) {
		w.creates(alice, "/a", "max_items=5", "publish_node_full=reject", "publish_model=open")
		const all = 40
		for i := range all {
			w.send(iq(fmt.Sprintf("user%d@localhost/x", i), "set", publishing("/a", item("", "1"))))
		}
		taken := 0
		for range all {
			if strings.Contains(w.stanza(), "type='result'") {
				taken++
			}
		}
		if taken != 5 {
			t.Errorf("%d were let in, want 5", taken)
		}
	})
}

// polite lets others go first.
type polite struct{ broker.Engine }

func (p polite) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	for range 1000 {
		runtime.Gosched()
	}
	return p.Engine.Publish(ctx, a)
}

// Checklist 46: a full node can remove the oldest item from its channel, and tell of it.
func TestPublish_to_a_full_node_that_retracts_the_oldest(t *testing.T) {
	dialogue(t, keeping(10), func(w *world) {
		w.creates(alice, "/a", "max_items=2", "publish_node_full=retract-oldest")
		w.subscribed(bob, "/a", bob)
		publish := func(id string, more ...string) {
			t.Helper()
			w.send(iq(alice, "set", publishing("/a", item(id, id))))
			w.gets(append(more, published(alice, "/a", id), eventText(bob, "E", "/a", item(id, id)))...)
		}
		publish("1")
		publish("2")
		publish("2")
		publish("3", eventText(bob, "E", "/a", "<retract id='1'/>"))
		w.publish("/a", `"from elsewhere"`) // knows nothing of the node
		w.gets(eventText(bob, "E", "/a", item("NEW", `"from elsewhere"`)))
		w.configures(alice, "/a", "notify_retract=0")
		publish("4")
		page, err := w.broker.History(t.Context(), principal("alice@localhost"), "/a", broker.Range{})
		if err != nil || len(page.Messages) != 2 || page.Messages[1].ID != "4" {
			t.Errorf("the channel keeps %v, %v", page.Messages, err)
		}
		w.silent()
	})
}

// A node can lose a publisher's items when his last client has gone, and nobody else's.
func TestPurge_offline(t *testing.T) {
	dialogue(t, keeping(10), func(w *world) {
		w.creates(alice, "/a", "purge_offline=1", "publish_model=open")
		w.creates(alice, "/b", "publish_model=open")
		w.subscribed(carol, "/a", carol)
		w.send(iq(bob, "set", publishing("/a", item("1", "1"))))
		w.gets(published(bob, "/a", "1"), eventText(carol, "E", "/a", item("1", "1")), "<presence type='subscribe' from='waft.localhost' to='bob@localhost'/>")
		for _, client := range []string{bob, "bob@localhost/other"} {
			w.send("<presence from='" + client + "' to='waft.localhost'/>")
		}
		w.answers(bob, "set", publishing("/b", item("1", "1")), published(bob, "/b", "1"))
		w.publish("/a", "2")
		w.gets(eventText(carol, "E", "/a", item("NEW", "2")))
		w.send("<presence type='unavailable' from='" + bob + "' to='waft.localhost'/>")
		w.silent()
		w.send("<presence type='unavailable' from='bob@localhost/other' to='waft.localhost'/>")
		w.gets(eventText(carol, "E", "/a", "<retract id='1'/>"))
		w.answers(carol, "get", wanting("node='/b'", "", ""), result(carol, retrieved("/b", item("1", "1"), "")))
		w.silent()
	})
}
