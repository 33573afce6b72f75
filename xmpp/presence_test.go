package xmpp

import "testing"

// Checklist 81.
func TestPresence(t *testing.T) {
	for _, c := range []struct{ typ, to, want string }{
		{"subscribe", "waft.localhost", "<presence type='subscribed' from='waft.localhost' to='bob@localhost'/>"},
		{"subscribe", "user@waft.localhost", "<presence type='unsubscribed' from='user@waft.localhost' to='bob@localhost'/>"},
		{"unsubscribe", "waft.localhost", "<presence type='unsubscribed' from='waft.localhost' to='bob@localhost'/>"},
		{"probe", "waft.localhost", "<presence from='waft.localhost' to='bob@localhost'/>"},
		{"probe", "user@waft.localhost", ""},
		{"subscribed", "waft.localhost", ""},
		{"unsubscribed", "waft.localhost", ""},
		{"error", "waft.localhost", ""},
		{"unavailable", "waft.localhost", ""},
		{"perhaps", "waft.localhost", ""},
		{"", "waft.localhost", ""},
	} {
		t.Run(c.typ+" "+c.to, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.send("<presence type='" + c.typ + "' from='bob@localhost' to='" + c.to + "'/>")
				if c.want != "" {
					w.want(c.want)
				}
				w.silent()
			})
		})
	}
}

// Checklist 69, 80: a client that goes takes its own subscriptions along, not the user's, not other clients'.
func TestPresence_unavailable_ends_the_subscriptions_of_that_client(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		const other = "bob@localhost/other"
		w.subscribed(bob, "/a", bob)
		w.subscribed(bob, "/b", bob)
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(other, "/a", other)
		w.send("<presence from='" + bob + "' to='waft.localhost'/>")
		w.send("<presence type='unavailable' from='bob@localhost' to='waft.localhost'/>")
		w.send("<presence type='unavailable' from='" + bob + "' to='waft.localhost'/>")
		w.silent()
		w.publish("/a", "1")
		w.publish("/b", "1")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")), eventText(other, "E", "/a", item("NEW", "1")))
		w.silent()
		if n := w.svc.Stats().Ended; n != 2 {
			t.Errorf("%d subscriptions were ended, want 2", n)
		}
	})
}
