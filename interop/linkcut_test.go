//go:build interop

package interop

import "testing"

// A link that is lost while both ends live costs the users what was sent
// meanwhile, and nothing else: waft has kept their subscriptions.
func TestLinkCut_comes_back_with_its_subscriptions(t *testing.T) {
	need(t, slixmppPeer, curlPeer)
	const channel = "/open/linkcut"
	for _, server := range xmppKinds {
		t.Run(server.name, func(t *testing.T) {
			need(t, server.peer)
			s := running(t, server.start)
			w := startWaft(t, s)
			link := w.links[0]
			alice := slixmpp(t, s, "alice").subscribe(t, channel)
			alice.subscribed(t)

			before := link.connections()
			link.cut()
			if err := await("the link to "+s.name, link.up); err != nil {
				t.Fatal(err)
			}
			if link.connections() == before {
				t.Fatal("the link was not cut")
			}
			curl(t, w, bare(channel), `"after"`)
			if _, err := alice.until(channel, `"after"`); err != nil {
				t.Error(err)
			}
			bob := slixmpp(t, s, "bob")
			bob.publish(t, channel, `"by bob"`)
			if _, err := alice.until(channel, `"by bob"`); err != nil {
				t.Error(err)
			}
		})
	}
}
