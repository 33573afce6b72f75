//go:build interop

package interop

import (
	"fmt"
	"testing"
)

// libraryUser is a user of an XMPP server in one of JavaScript's libraries.
func libraryUser(t *testing.T, s *xmppServer, library, url, user string) *driver {
	t.Helper()
	need(t, nodePeer)
	return drive(t, fmt.Sprintf("%s as %s by %s", library, s.jid(user), url), node(library, map[string]string{
		"url": url, "domain": s.host, "user": user, "password": password, "service": s.service(),
	}))
}

// xmppLibraries are the clients, and how each reaches a server.
var xmppLibraries = []struct {
	name string
	user func(t *testing.T, s *xmppServer) *driver
}{
	{"slixmpp over TCP", func(t *testing.T, s *xmppServer) *driver { return slixmpp(t, s, "bob") }},
	{"xmpp.js over TCP", func(t *testing.T, s *xmppServer) *driver {
		return libraryUser(t, s, "xmppjs", "xmpp://"+s.clients, "bob")
	}},
	{"xmpp.js over WebSocket", func(t *testing.T, s *xmppServer) *driver {
		return libraryUser(t, s, "xmppjs", s.webSocket, "bob")
	}},
	{"strophe.js over WebSocket", func(t *testing.T, s *xmppServer) *driver {
		return libraryUser(t, s, "strophe", s.webSocket, "bob")
	}},
	{"stanza over WebSocket", func(t *testing.T, s *xmppServer) *driver {
		return libraryUser(t, s, "stanza", s.webSocket, "bob")
	}},
}

// Each library subscribes, publishes by pubsub and by ad-hoc command, and receives both and what comes over HTTP, through
// each server.
func TestXMPP_clients_of_every_library(t *testing.T) {
	servers := xmppServers(t)
	w := startWaft(t, servers...)
	for _, s := range servers {
		for i, library := range xmppLibraries {
			t.Run(s.name+"/"+library.name, func(t *testing.T) {
				channel := fmt.Sprintf("/libraries/%s/%d", s.name, i)
				user := library.user(t, s)
				user.subscribe(t, channel).subscribed(t)

				const own, command, http = `{"by":"pubsub","text":"é <&\"]]>"}`, `{"by":"command"}`, `{"by":"http"}`
				user.publish(t, channel, own)
				user.command(t, map[string]any{"op": "command", "name": "publish", "fields": map[string]string{"channel": channel, "data": command, "id": "7"}})
				if got, err := user.until("command", "completed: published to "+channel+" as 7"); err != nil {
					t.Fatal(got, err)
				}
				curl(t, w, channel, http)
				got, err := user.until(channel, http)
				if want := []string{own, command, http}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("received %q, want %q: %v", got, want, err)
				}
				// What is for those who manage the realm is not for everybody.
				user.command(t, map[string]any{"op": "command", "name": "stats", "fields": map[string]string{}})
				if failure := user.waitFor(t, "failed", 1); failure.Error != "forbidden" && failure.Error != "no command waft#stats" {
					t.Errorf("a command for admins: %q", failure.Error)
				}
			})
		}
	}
}
