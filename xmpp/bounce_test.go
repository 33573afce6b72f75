package xmpp

import (
	"strings"
	"testing"
	"testing/synctest"
)

func bounce(from, id, typ, condition string) string {
	return "<message type='error' from='" + from + "' to='waft.localhost' id='" + id + "'><error type='" + typ + "'><" + condition +
		" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
}

// Checklist 82, 83.
func TestBounce(t *testing.T) {
	for _, c := range []struct {
		name      string
		from      string // of the bounce
		id        string // OURS: of the event that was sent to bob's bare JID, or DESK, to his full one
		condition string
		left      string // subscriptions after it
	}{
		{"82 gone", "bob@localhost", "OURS", "gone", "desk"},
		{"82 item-not-found", "bob@localhost", "OURS", "item-not-found", "desk"},
		{"82 gone, full", bob, "DESK", "gone", "bare"},
		{"82 unavailable for a bare JID", "bob@localhost", "OURS", "service-unavailable", "bare desk"},
		{"82 unavailable for a full JID", bob, "DESK", "service-unavailable", "bare"},
		{"82 full mailbox", bob, "DESK", "resource-constraint", "bare desk"},
		{"82 no such server", "bob@localhost", "OURS", "remote-server-not-found", "bare desk"},
		{"83 somebody else's", carol, "OURS", "gone", "bare desk"},
		{"83 for another address", bob, "OURS", "gone", "bare desk"},
		{"83 invented", "bob@localhost", "1-abc", "gone", "bare desk"},
		{"83 no id", "bob@localhost", "", "gone", "bare desk"},
		{"83 odd id", "bob@localhost", "-", "gone", "bare desk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.subscribed(bob, "/a", "bob@localhost")
				w.subscribed(bob, "/a", bob)
				w.publish("/a", "1")
				ids := strings.NewReplacer("OURS", w.event("bob@localhost"), "DESK", w.event(bob))
				w.send(bounce(c.from, ids.Replace(c.id), "cancel", c.condition))
				w.silent()
				w.publish("/a", "2")
				synctest.Wait()
				var left []string
				for range strings.FieldsSeq(c.left) {
					if s := w.stanza(); strings.Contains(s, "to='bob@localhost/desk'") {
						left = append(left, "desk")
					} else {
						left = append(left, "bare")
					}
				}
				if got := strings.Join(left, " "); got != c.left {
					t.Errorf("events came to %s, want %s", got, c.left)
				}
				w.silent()
				if st := w.svc.Stats(); st.Bounces+st.StrayBounces != 1 || (st.Bounces == 1) != strings.HasPrefix(c.name, "82") {
					t.Errorf("counted %d bounces and %d strays", st.Bounces, st.StrayBounces)
				}
			})
		})
	}
}

// Checklist 83: nothing that is an answer is answered.
func TestMessage_answers_chats_only(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		const nobody = "this is a publish-subscribe service; nobody reads messages here"
		for _, typ := range []string{"", " type='chat'", " type='normal'", " type='shout'", " type=''"} {
			w.send("<message" + typ + " from='" + bob + "' to='waft.localhost' id='m1'><body>hi</body></message>")
			w.want("<message type='error' id='m1' from='waft.localhost' to='" + bob + "'>" + errorElement("cancel: service-unavailable", nobody) + "</message>")
		}
		// Checklist 53: XEP-0432 is not offered.
		w.send("<message from='" + bob + "' to='waft.localhost'><payload xmlns='urn:xmpp:json-msg:0' datatype='urn:x'><json xmlns='urn:xmpp:json:0'>1</json></payload></message>")
		w.want("<message type='error' id='' from='waft.localhost' to='" + bob + "'>" + errorElement("cancel: service-unavailable", nobody) + "</message>")
		for _, typ := range []string{"error", "headline", "groupchat"} {
			w.send("<message type='" + typ + "' from='" + bob + "' to='waft.localhost' id='m1'><body>hi</body></message>")
			w.silent()
		}
		for _, typ := range []string{"result", "error"} {
			w.send("<iq type='" + typ + "' from='" + bob + "' to='waft.localhost' id='q1'><ping xmlns='urn:xmpp:ping'/></iq>")
			w.silent()
		}
	})
}
