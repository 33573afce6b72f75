package xmpp

import (
	"strings"
	"testing"
)

// Who may manage the realm does with every node what its owners may: a node whose owner has gone is not lost. The last owner
// stays in the list until there is another.
func TestAdmin_acts_as_owner_of_every_node(t *testing.T) {
	const admin = root + "/desk"
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=whitelist")
		w.answers(alice, "set", publishing("/a", item("7", "1"), item("8", "1")), published(alice, "/a", "7", "8"))
		w.answers(admin, "get", info("/a"), strings.Replace(w.ask(alice, "get", info("/a")), alice, admin, 1))
		w.answers(admin, "get", discoItems("", ""), result(admin, discoItems("", "<item jid='waft.localhost' node='/a'/>")))
		w.answers(bob, "get", discoItems("", ""), result(bob, discoItems("", "")))
		// What it is not: a way to read or publish.
		w.answers(admin, "get", wanting("node='/a'", "", ""), refused(admin, "cancel: not-allowed + closed-node", "the node is not open to you"))
		w.answers(admin, "set", publishing("/a", item("9", "1")), refused(admin, "auth: forbidden", "the node does not let you publish"))

		w.configures(admin, "/a", "title=Orphan")
		w.settings(admin, "/a", "title=Orphan", "access_model=whitelist")
		w.answers(admin, "set", retracting("/a", " notify='0'", "<item id='7'/>"), result(admin, ""))
		w.affiliates(admin, "/a", "bob@localhost owner", "alice@localhost none")
		w.answers(alice, "set", configuring("/a", "title=mine"), refused(alice, "cancel: item-not-found", noNode))
		w.answers(admin, "set", affiliating("/a", "bob@localhost none"), "<iq type='error' id='q1' from='waft.localhost' to='"+admin+"'>"+
			ownerOf("<affiliations node='/a'><affiliation jid='bob@localhost' affiliation='owner'/></affiliations>")+
			errorElement("modify: not-acceptable", "these entries could not be set and are as before; the others have been set")+"</iq>")
		w.answers(admin, "set", ownerOf("<subscriptions node='/a'><subscription jid='bob@localhost' subscription='subscribed'/></subscriptions>"), result(admin, ""))
		w.gets(state("/a", "bob@localhost", "subscribed"))
		w.lists(admin, "/a", "bob@localhost subscribed")
		w.answers(admin, "set", ownerOf("<purge node='/a'/>"), result(admin, ""))
		w.gets(told("bob@localhost", "<purge node='/a'/>"))
		w.configures(admin, "/a", "access_model=authorize")
		w.petitions(carol, "/a", "carol@localhost")
		w.gets(requestTo("bob@localhost", "carol@localhost", "/a"))
		w.send(decidingOn(admin, "/a", "carol@localhost", "1"))
		w.gets(state("/a", "carol@localhost", "subscribed"))
		w.answers(admin, "set", ownerOf("<delete node='/a'/>"), result(admin, ""))
		w.gets(told("bob@localhost", "<delete node='/a'/>"), told("carol@localhost", "<delete node='/a'/>"))
		w.answers(admin, "set", configuring("/a", "title=x"), refused(admin, "cancel: item-not-found", noNode))
	})
}
