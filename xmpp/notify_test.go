package xmpp

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// Checklist 73: the id of an event is unique, whoever it is for.
func TestEvent_ids_are_unique(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(bob, "/a", bob)
		seen := map[string]bool{}
		for range 10 {
			w.publish("/a", "1")
			for range 2 {
				_, rest, _ := strings.Cut(w.stanza(), " id='")
				id, _, _ := strings.Cut(rest, "'")
				if seen[id] {
					t.Errorf("the id %s came twice", id)
				}
				seen[id] = true
			}
		}
	})
}

func TestEvent_tells_of_a_removed_item(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "a", "bob@localhost")
		w.send(iq(alice, "set", publishing("/a", item("7", "1"))))
		w.gets(published(alice, "/a", "7"), eventText("bob@localhost", "E", "a", item("7", "1")))
		if err := w.broker.Remove(t.Context(), principal("alice@localhost"), "/a", "7", true); err != nil {
			t.Fatal(err)
		}
		w.gets(eventText("bob@localhost", "E", "a", "<retract id='7'/>"))
	})
}

// Checklist 59: the subscriber learns of an item that no stanza could carry, and the next one comes whole.
func TestEvent_of_a_message_too_big_has_the_item_id_alone(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.Link.MaxOutStanza = 2000 }, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(carol, "a", "carol@localhost")
		w.publish("/a", `"`+strings.Repeat("x", 5000)+`"`)
		w.gets(eventText("bob@localhost", "E", "/a", "<item id='NEW'/>"), eventText("carol@localhost", "E", "a", "<item id='NEW'/>"))
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")), eventText("carol@localhost", "E", "a", item("NEW", "1")))
		if n := w.svc.Stats().Naked; n != 1 {
			t.Errorf("counted %d, want 1", n)
		}
	})
}

func TestEvent_there_is_none_of_a_message_for_other_wires(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		m := &broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": json.RawMessage(`{}`)}}
		if _, err := w.broker.Publish(t.Context(), principal("alice@localhost"), m, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		w.silent()
	})
}

// Checklist 76.
func TestEvent_order_is_that_of_the_channel(t *testing.T) {
	many := func(o *setup) {
		o.broker.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 1000} }
	}
	dialogue(t, many, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		const each = 50
		var publishers sync.WaitGroup
		for i := range 2 {
			publishers.Go(func() {
				for n := range each {
					w.publish("/a", fmt.Sprintf(`"door %d: %d"`, i, n))
				}
			})
		}
		for n := range each {
			w.send(iq(alice, "set", publishing("/a", item("", fmt.Sprintf(`"alice: %d"`, n)))) +
				iq(carol, "set", publishing("/a", item("", fmt.Sprintf(`"carol: %d"`, n)))))
		}
		publishers.Wait()
		var order []string
		for range 4*each + 2*each { // events, and the results of two
			if s := w.stanza(); strings.HasPrefix(s, "<message") {
				_, text, _ := strings.Cut(s, "<json xmlns='urn:xmpp:json:0'>")
				text, _, _ = strings.Cut(text, "</json>")
				order = append(order, text)
			}
		}
		page, err := w.broker.History(t.Context(), principal("alice@localhost"), "/a", broker.Range{})
		if err != nil || len(page.Messages) != 4*each {
			t.Fatal(len(page.Messages), err)
		}
		for i, m := range page.Messages {
			if order[i] != string(m.Data) {
				t.Fatalf("event %d is %s, the history has %s", i, order[i], m.Data)
			}
		}
	})
}

// Checklist 78, 106: nobody waits for a server that does not read, and what waits for it is bounded.
func TestNotify_a_stuck_server_holds_up_nobody(t *testing.T) {
	limits := func(o *setup) { o.service.QueueMessages, o.service.Link.MaxOutbound = 100, 4096 }
	dialogue(t, limits, func(w *world) {
		for i := range 100 {
			jid := fmt.Sprintf("user%d@localhost", i)
			w.subscribed(jid+"/x", "/a", jid)
		}
		free := w.stick()
		began := time.Now()
		for i := range 500 {
			w.publish("/a", fmt.Sprint(i))
		}
		w.send(iq(alice, "set", publishing("/a", item("7", "500"))))
		synctest.Wait()
		if d := time.Since(began); d != 0 {
			t.Errorf("publishing took %v", d)
		}
		st := w.svc.Stats()
		if st.Published != 1 || st.Waiting > 100 || st.Waiting < 100-notifyBatch || st.Dropped < 300 || st.Events > 1600 || st.Link.Queued > 2*4096 {
			t.Errorf("stuck: %+v", st)
		}
		free()
		w.until(published(alice, "/a", "7"))
		w.until(">500<") // in the end it comes
		synctest.Wait()
		st = w.svc.Stats()
		if st.Waiting != 0 || st.Events != 100*(501-st.Dropped) {
			t.Errorf("freed: %d events, %d messages dropped, %d waiting", st.Events, st.Dropped, st.Waiting)
		}
	})
}

// Checklist 113: what is published while the link is down comes when it is up, in order; subscriptions last.
func TestNotify_goes_on_after_an_outage(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.publish("/a", "0")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "0")))
		_ = w.conn.Close()
		synctest.Wait()
		for i := range 50 {
			w.publish("/a", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		w.accept()
		for i := range 50 {
			w.gets(eventText("bob@localhost", "E", "/a", item("NEW", fmt.Sprint(i))))
		}
		w.silent()
	})
}

func TestNotify_an_outage_costs_no_more_than_what_the_queue_cannot_hold(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.QueueMessages = 10 }, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		_ = w.conn.Close()
		synctest.Wait()
		for i := range 50 {
			w.publish("/a", fmt.Sprint(i))
			synctest.Wait()
		}
		if st := w.svc.Stats(); st.Waiting != 10 || st.Dropped != 40 {
			t.Errorf("%d wait and %d were dropped, want 10 and 40", st.Waiting, st.Dropped)
		}
		w.accept()
		for i := 40; i < 50; i++ {
			w.gets(eventText("bob@localhost", "E", "/a", item("NEW", fmt.Sprint(i))))
		}
		w.silent()
	})
}

// Checklist 112 in part: an outage in the middle of a fan-out goes on where it stopped; nobody gets anything twice.
func TestNotify_goes_on_in_the_middle_of_a_fan_out(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.Link.MaxOutbound = 1 << 10 }, func(w *world) {
		const all = 50
		for i := range all {
			jid := fmt.Sprintf("user%d@localhost", i)
			w.subscribed(jid+"/x", "/a", jid)
		}
		free := w.stick()
		defer free()
		w.publish("/a", "1")
		synctest.Wait()
		_ = w.conn.Close()
		synctest.Wait()
		before := w.svc.Stats()
		if before.Events == 0 || before.Events == all {
			t.Fatalf("%d events were given to the link: that is not in the middle", before.Events)
		}
		w.accept()
		for i := int(before.Events); i < all; i++ {
			w.gets(eventText(fmt.Sprintf("user%d@localhost", i), "E", "/a", item("NEW", "1")))
		}
		w.silent()
	})
}

// Checklist 71: not even an event that waits for the link follows the result.
func TestUnsubscribe_takes_back_what_waits(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.Link.MaxOutbound = 1 << 10 }, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		free := w.stick()
		for range 50 {
			w.publish("/a", "1")
		}
		synctest.Wait()
		w.send(iq(bob, "set", unsubscribing("/a", "bob@localhost")))
		synctest.Wait()
		free()
		w.until(result(bob, ""))
		w.silent()
	})
}

// Checklist 112, 120: what the server may not have read when the link broke comes again, the same to the last byte; what it has
// read does not.
func TestNotify_makes_good_a_broken_link(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.Link.NoFence = false }, func(w *world) {
		answerPing := func() {
			t.Helper()
			w.until("<iq type='get' id='")
			id, _, _ := strings.Cut(w.until("</iq>"), "'")
			w.send("<iq type='result' id='" + id + "' from='localhost' to='waft.localhost'/>")
			synctest.Wait()
		}
		w.creates(alice, "/a")
		w.subscribed(bob, "/a", "bob@localhost")
		w.publish("/a", "1")
		w.event("bob@localhost")
		answerPing()
		w.publish("/a", "2")
		w.send(iq(alice, "set", configuring("/a", "notify_config=1", "deliver_payloads=0")))
		var before []string
		for range 2 {
			if s := w.stanza(); strings.HasPrefix(s, "<message") {
				before = append(before, s)
			}
		}
		if s := w.stanza(); strings.HasPrefix(s, "<message") {
			before = append(before, s)
		}
		_ = w.conn.Close()
		synctest.Wait()
		w.publish("/a", "3")
		w.accept()
		for _, want := range before { // not the answer: who asked has given up
			w.want(want)
		}
		answerPing()
		w.event("bob@localhost")
		answerPing()
		_ = w.conn.Close()
		synctest.Wait()
		w.accept()
		time.Sleep(time.Second)
		w.silent()
		if st := w.svc.Stats().Link; len(before) != 2 || st.Resent != 2 || st.Kept != 0 {
			t.Errorf("%d events before, %+v", len(before), st)
		}
	})
}
