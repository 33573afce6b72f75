//go:build interop

package interop

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cases of the conformance checklist that users can play, through both servers: what waft says arrives as it was said. The
// numbers are those of the dialogue tests in package xmpp, which say more of each.
func TestChecklist_through_both_servers(t *testing.T) {
	for _, server := range xmppKinds {
		t.Run(server.name, func(t *testing.T) {
			need(t, server.peer)
			t.Parallel()
			s := running(t, server.start)
			w := startWaft(t, s)
			users := map[string]*talker{}
			for _, name := range []string{"alice", "bob", "carol"} {
				users[name] = talk(t, s, name)
			}
			words := strings.NewReplacer("{S}", s.service(), "{H}", s.host, "{N}", "/open/kept/list",
				"{bob}", s.jid("bob"), "{carol}", s.jid("carol"), "{alice}", s.jid("alice"))
			for _, c := range checklist {
				u := users[c.who]
				var got string
				var err error
				switch typ, payload, _ := strings.Cut(c.ask, " "); typ {
				case "":
					got, err = u.next(u.messages, "")
				case "message", "presence":
					err = u.send("<" + typ + " to='" + u.service + "'>" + words.Replace(payload) + "</" + typ + ">")
				default:
					got, err = u.ask(typ, words.Replace(verb(payload)))
				}
				if err != nil {
					t.Fatalf("%s: %s %s: %v", c.name, c.who, c.ask, err)
				}
				for _, want := range wants(words.Replace(c.want)) {
					absent, not := strings.CutPrefix(want, "!")
					if not && strings.Contains(got, absent) || !not && !strings.Contains(got, want) {
						t.Errorf("%s: %s %s\nis answered\n%s\nwant %s", c.name, c.who, c.ask, got, want)
					}
				}
			}
			if n := w.links[0].connections(); n != 1 {
				t.Errorf("the link was made %d times", n)
			}
		})
	}
}

// verb puts a pubsub verb into its element; "o:" is an owner's.
func verb(payload string) string {
	if inside, ok := strings.CutPrefix(payload, "o:"); ok {
		return "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>" + inside + "</pubsub>"
	}
	if inside, ok := strings.CutPrefix(payload, "p:"); ok {
		return "<pubsub xmlns='http://jabber.org/protocol/pubsub'>" + inside + "</pubsub>"
	}
	return payload
}

// wants gives what has to be in an answer: an error "type: condition + condition", or parts between " … ".
func wants(want string) []string {
	for _, typ := range []string{"auth", "cancel", "modify", "wait"} {
		if rest, ok := strings.CutPrefix(want, typ+": "); ok {
			all := []string{" type='error'", "type='" + typ + "'>"}
			for c := range strings.SplitSeq(rest, " + ") {
				all = append(all, "<"+c)
			}
			return all
		}
	}
	if want == "result" {
		return []string{" type='result'"}
	}
	return strings.Split(want, " … ")
}

// talker is a user whose answers and messages are told apart.
type talker struct {
	*rawUser
	service       string
	asked         int
	iqs, messages chan string
}

func talk(t *testing.T, s *xmppServer, name string) *talker {
	t.Helper()
	u, err := s.login(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.conn.Close() })
	u.conn.SetDeadline(time.Now().Add(2 * patience))
	k := &talker{rawUser: u, service: s.service(), iqs: make(chan string, 100), messages: make(chan string, 1000)}
	go k.listen()
	return k
}

// listen sorts stanzas, written without namespaces and with their attributes in order: servers write them as they like.
func (k *talker) listen() {
	var b strings.Builder
	depth := 0
	for {
		token, err := k.in.RawToken()
		if err != nil {
			close(k.iqs)
			close(k.messages)
			return
		}
		switch e := token.(type) {
		case xml.StartElement:
			depth++
			b.WriteString("<" + e.Name.Local)
			slices.SortFunc(e.Attr, func(x, y xml.Attr) int { return strings.Compare(x.Name.Local, y.Name.Local) })
			for _, a := range e.Attr {
				if a.Name.Space == "" && a.Name.Local != "xmlns" {
					fmt.Fprintf(&b, " %s='%s'", a.Name.Local, a.Value)
				}
			}
			b.WriteString(">")
		case xml.CharData:
			if depth > 0 {
				b.Write(e)
			}
		case xml.EndElement:
			if depth--; depth < 0 { // the end of the answer that logging in has read the start of
				depth = 0
				b.Reset()
				continue
			}
			if b.WriteString("</" + e.Name.Local + ">"); depth > 0 {
				continue
			}
			text := b.String()
			b.Reset()
			if !strings.Contains(text, "from='"+k.service+"'") {
				continue // the server's own
			}
			switch e.Name.Local {
			case "iq":
				k.iqs <- text
			case "message":
				k.messages <- text
			}
		}
	}
}

func (k *talker) ask(typ, payload string) (string, error) {
	k.asked++
	id := fmt.Sprintf("c%d", k.asked)
	if err := k.send("<iq type='" + typ + "' id='" + id + "' to='" + k.service + "'>" + payload + "</iq>"); err != nil {
		return "", err
	}
	return k.next(k.iqs, " id='"+id+"'")
}

// next gives the next stanza that has something in it.
func (k *talker) next(from chan string, with string) (string, error) {
	timeout := time.After(patience)
	for {
		select {
		case s, open := <-from:
			if !open {
				return "", errThrownOut
			}
			if strings.Contains(s, with) {
				return s, nil
			}
		case <-timeout:
			return "", errors.New("nothing came")
		}
	}
}

// form is a submitted form; fields are "name=value" without pubsub#.
func form(of string, fields ...string) string {
	b := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#" + of + "</value></field>"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		b += "<field var='pubsub#" + name + "'><value>" + value + "</value></field>"
	}
	return b + "</x>"
}

func item(id, text string) string {
	return "<item id='" + id + "'><json xmlns='urn:xmpp:json:0'>" + text + "</json></item>"
}

func command(name, more string, fields ...string) string {
	b := "<command xmlns='http://jabber.org/protocol/commands' node='waft#" + name + "' " + more + ">"
	if fields != nil {
		b += "<x xmlns='jabber:x:data' type='submit'>"
		for _, f := range fields {
			name, value, _ := strings.Cut(f, "=")
			b += "<field var='" + name + "'><value>" + value + "</value></field>"
		}
		b += "</x>"
	}
	return b + "</command>"
}

const (
	discoInfo  = "get <query xmlns='http://jabber.org/protocol/disco#info'"
	discoItems = "get <query xmlns='http://jabber.org/protocol/disco#items'"
	archive    = "set <query xmlns='urn:xmpp:mam:2' node="
)

// checklist is played in order. An empty ask waits for a message; a message or a presence has no answer.
var checklist = []struct{ name, who, ask, want string }{
	{"1 the service", "bob", discoInfo + "/>", "<identity category='pubsub' … type='service' … var='http://jabber.org/protocol/pubsub#publish' … !#multi-subscribe"},
	{"9 nothing there", "bob", discoItems + " node='{N}/a'/>", "result"},
	{"12 unknown", "bob", "get <query xmlns='urn:x'/>", "cancel: service-unavailable"},
	{"13 ping", "bob", "get <ping xmlns='urn:xmpp:ping'/>", "result"},
	{"13 version", "bob", "get <query xmlns='jabber:iq:version'/>", "<name>waft</name>"},
	{"13 time", "bob", "get <time xmlns='urn:xmpp:time'/>", "<utc>"},
	{"14 create", "alice", "set p:<create node='{N}/a'/>", "result"},
	{"14 again", "alice", "set p:<create node='{N}/a'/>", "cancel: conflict"},
	{"14 instant", "alice", "set p:<create/>", "<create node='/instant/"},
	{"16 with a configuration", "alice", "set p:<create node='{N}/w'/><configure>" + form("node_config", "access_model=whitelist", "max_items=3") + "</configure>", "result"},
	{"16 applied", "alice", "get o:<configure node='{N}/w'/>", "<value>whitelist</value>"},
	{"17 access model", "alice", "set p:<create node='{N}/x'/><configure>" + form("node_config", "access_model=roster") + "</configure>", "modify: not-acceptable + unsupported-access-model"},
	{"17 node beside", "alice", "set p:<create node='{N}/x'/><configure node='{N}/x'/>", "modify: bad-request"},
	{"18 pattern", "alice", "set p:<create node='{N}/*'/>", "modify: not-acceptable"},
	{"3, 4 described", "bob", discoInfo + " node='{N}/a'/>", "<identity category='pubsub' type='leaf'> … node='{N}/a' … #meta-data … type='result'> … creation_date"},
	{"5 unknown", "bob", discoInfo + " node='a b'/>", "cancel: item-not-found"},
	{"10 hidden", "carol", discoInfo + " node='{N}/w'/>", "cancel: item-not-found"},
	{"10 not listed", "carol", discoItems + "/>", "!{N}/w"},
	{"6 listed", "alice", discoItems + "/>", "<item jid='{S}' node='{N}/w'>"},
	{"7 in pages", "alice", discoItems + "><set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set></query>", "<first … <last> … <count>"},
	{"21 booleans", "alice", "set o:<configure node='{N}/a'>" + form("node_config", "notify_config=true", "notify_retract=0") + "</configure>", "result"},
	{"23 bad value", "alice", "set o:<configure node='{N}/a'>" + form("node_config", "title=x", "max_items=abc") + "</configure>", "modify: not-acceptable"},
	{"24 max", "alice", "get o:<configure node='{N}/a'/>", "var='pubsub#max_items'> … <value>max</value> … !<value>x</value>"},
	{"22 cancel", "alice", "set o:<configure node='{N}/a'><x xmlns='jabber:x:data' type='cancel'/></configure>", "result"},
	{"25 not an owner", "bob", "get o:<configure node='{N}/a'/>", "auth: forbidden"},
	{"26 no node", "alice", "get o:<configure/>", "modify: bad-request + nodeid-required"},
	{"27 defaults", "bob", "get o:<default/>", "pubsub#node_config"},
	{"27 collection", "bob", "get o:<default type='collection'/>", "cancel: feature-not-implemented"},
	{"62 others", "bob", "set p:<subscribe node='{N}/a' jid='{carol}'/>", "modify: bad-request + invalid-jid"},
	{"63 no jid", "bob", "set p:<subscribe node='{N}/a'/>", "modify: bad-request + jid-required"},
	{"64 whitelist", "bob", "set p:<subscribe node='{N}/w' jid='{bob}'/>", "cancel: not-allowed + closed-node"},
	{"87 items", "bob", "get p:<items node='{N}/w'/>", "cancel: not-allowed + closed-node"},
	{"89 archive", "bob", archive + "'{N}/w'/>", "auth: forbidden"},
	{"64 member", "alice", "set o:<affiliations node='{N}/w'><affiliation jid='{bob}' affiliation='member'/></affiliations>", "result"},
	{"64 and now", "bob", "set p:<subscribe node='{N}/w' jid='{bob}'/>", "subscription='subscribed'"},
	{"60 subscribe", "bob", "set p:<subscribe node='{N}/a' jid='{bob}'/>", "jid='{bob}' node='{N}/a' subscription='subscribed'"},
	{"60 again", "bob", "set p:<subscribe node='{N}/a' jid='{bob}'/>", "subscription='subscribed'"},
	{"77 own", "bob", "get p:<subscriptions/>", "node='{N}/a' subscription='subscribed' … node='{N}/w'"},
	{"77 affiliations", "bob", "get p:<affiliations/>", "affiliation='member' node='{N}/w'"},
	{"28 notified", "alice", "set o:<configure node='{N}/a'>" + form("node_config", "title=The A") + "</configure>", "result"},
	{"28 event", "bob", "", "<configuration node='{N}/a'> … The A"},
	{"32 publish", "alice", "set p:<publish node='{N}/a'>" + item("1", ` { "n" : [1, "]]&gt;&amp;&lt;"] } `) + "</publish>", "<item id='1'>"},
	{"32, 55, 73 event", "bob", "", `from='{S}' … to='{bob} … <items node='{N}/a'><item id='1'><json>{"n":[1,"]]>&<"]}</json>`},
	{"33 without an id", "alice", "set p:<publish node='{N}/a'><item><json xmlns='urn:xmpp:json:0'>2</json></item></publish>", "<item id='"},
	{"33 event", "bob", "", "<json>2</json>"},
	{"34 again", "alice", "set p:<publish node='{N}/a'>" + item("1", "3") + "</publish>", "result"},
	{"34 event", "bob", "", "<item id='1'><json>3</json>"},
	{"36 not a publisher", "carol", "set p:<publish node='{N}/a'>" + item("1", "3") + "</publish>", "auth: forbidden"},
	{"37 auto-create", "carol", "set p:<publish node='{N}/auto'>" + item("1", "1") + "</publish>", "result"},
	{"38 no item", "alice", "set p:<publish node='{N}/a'/>", "modify: bad-request + item-required"},
	{"39 no payload", "alice", "set p:<publish node='{N}/a'><item/></publish>", "modify: bad-request + payload-required"},
	{"40 two payloads", "alice", "set p:<publish node='{N}/a'><item><json xmlns='urn:xmpp:json:0'>1</json><json xmlns='urn:xmpp:json:0'>1</json></item></publish>", "modify: bad-request + invalid-payload"},
	{"42 a batch with a bad one", "alice", "set p:<publish node='{N}/a'>" + item("8", "1") + item("9", "{") + "</publish>", "modify: bad-request + invalid-payload"},
	{"42 nothing of it", "bob", "get p:<items node='{N}/a'><item id='8'/></items>", "!<json"},
	{"43 no node", "alice", "set p:<publish>" + item("1", "1") + "</publish>", "modify: bad-request + nodeid-required"},
	{"44 precondition", "alice", "set p:<publish node='{N}/a'>" + item("8", "1") + "</publish><publish-options>" + form("publish-options", "access_model=whitelist") + "</publish-options>", "cancel: conflict + precondition-not-met"},
	{"49 wrong type", "alice", "get p:<publish node='{N}/a'>" + item("1", "1") + "</publish>", "type='error'"},
	{"51 broken JSON", "alice", `set p:<publish node='{N}/a'>` + item("8", `{"a":`) + "</publish>", "modify: bad-request + invalid-payload"},
	{"52 empty", "alice", "set p:<publish node='{N}/a'>" + item("8", "") + "</publish>", "modify: bad-request + invalid-payload"},
	{"53 Atom", "alice", "set p:<publish node='{N}/a'><item><entry xmlns='http://www.w3.org/2005/Atom'/></item></publish>", "modify: bad-request + invalid-payload"},
	{"57 too big", "alice", "set p:<publish node='{N}/a'>" + item("8", `"`+strings.Repeat("x", 140<<10)+`"`) + "</publish>", "modify: not-acceptable + payload-too-big"},
	{"84 newest", "bob", "get p:<items node='{N}/a' max_items='1'/>", "<json>3</json> … !<json>2</json>"},
	{"84 unknown id", "bob", "get p:<items node='{N}/a'><item id='x'/></items>", "<items node='{N}/a'></items>"},
	{"85 count", "bob", "get p:<items node='{N}/a'/><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>", "<count>2</count> … !<first"},
	{"85 vanished", "bob", "get p:<items node='{N}/a'/><set xmlns='http://jabber.org/protocol/rsm'><after>0-1</after></set>", "item-not-found"},
	{"8 items by disco", "bob", discoItems + " node='{N}/a'/>", "<item jid='{S}' name='1'>"},
	{"48 no item", "alice", "set p:<retract node='{N}/a'/>", "modify: bad-request + item-required"},
	{"48 unknown item", "alice", "set p:<retract node='{N}/a'><item id='x'/></retract>", "cancel: item-not-found"},
	{"48 not his", "carol", "set p:<retract node='{N}/a'><item id='1'/></retract>", "auth: forbidden"},
	{"47 retract", "alice", "set p:<retract node='{N}/a' notify='true'><item id='1'/></retract>", "result"},
	{"47 event", "bob", "", "<retract id='1'>"},
	{"89 archive", "bob", archive + "'{N}/a' queryid='q'/>", "<fin complete='true'> … <count>1</count>"},
	{"89 result", "bob", "", "<result id=' … queryid='q'> … <delay stamp=' … <json>2</json>"},
	{"72 options", "bob", "set p:<options node='{N}/a' jid='{bob}'>" + form("subscribe_options", "deliver=0") + "</options>", "result"},
	{"72 shown", "bob", "get p:<options node='{N}/a' jid='{bob}'/>", "var='pubsub#deliver'> … <value>0</value>"},
	{"72 invalid", "bob", "set p:<options node='{N}/a' jid='{bob}'>" + form("subscribe_options", "expire=soon") + "</options>", "modify: bad-request + invalid-options"},
	{"72 nobody's", "carol", "get p:<options node='{N}/a' jid='{carol}'/>", "unexpected-request … <not-subscribed"},
	{"72 on again", "bob", "set p:<options node='{N}/a' jid='{bob}'>" + form("subscribe_options", "deliver=1") + "</options>", "result"},
	{"91 lists", "alice", "get o:<subscriptions node='{N}/a'/>", "<subscription jid='{bob}' subscription='subscribed'>"},
	{"91 not an owner", "bob", "get o:<affiliations node='{N}/a'/>", "auth: forbidden"},
	{"92 publisher", "alice", "set o:<affiliations node='{N}/a'><affiliation jid='{carol}' affiliation='publisher'/></affiliations>", "result"},
	{"92 at once", "carol", "set p:<publish node='{N}/a'>" + item("c", "4") + "</publish>", "result"},
	{"92 event", "bob", "", "<json>4</json>"},
	{"93 the last owner", "alice", "set o:<affiliations node='{N}/a'><affiliation jid='{alice}' affiliation='none'/></affiliations>", "modify: not-acceptable"},
	{"94 twice", "alice", "set o:<affiliations node='{N}/a'><affiliation jid='{bob}' affiliation='none'/><affiliation jid='{bob}' affiliation='member'/></affiliations>", "modify: bad-request"},
	{"95 managed", "alice", "set o:<subscriptions node='{N}/a'><subscription jid='{carol}' subscription='subscribed'/></subscriptions>", "result"},
	{"95 told", "carol", "", "<subscription jid='{carol}' node='{N}/a' subscription='subscribed'>"},
	{"96 commands", "bob", discoItems + " node='http://jabber.org/protocol/commands'/>", "node='waft#publish' … !waft#stats"},
	{"97 publish", "carol", "set " + command("publish", "", "channel={N}/a", "data={\"by\":\"command\"}"), "status='completed'"},
	{"97 event", "bob", "", `<json>{"by":"command"}</json>`},
	{"97 to all", "carol", "", `<json>{"by":"command"}</json>`},
	{"98 bad JSON", "carol", "set " + command("publish", "", "channel={N}/a", "data={"), "modify: bad-request + bad-payload"},
	{"99 unknown", "bob", "set " + command("nothing", ""), "cancel: item-not-found"},
	{"99 not for him", "bob", "set " + command("stats", ""), "cancel: forbidden"},
	{"99 action", "bob", "set " + command("publish", "action='jump'"), "modify: bad-request + malformed-action"},
	{"100 session", "bob", "set " + command("publish", "sessionid='x'"), "modify: bad-request + bad-sessionid"},
	{"65 outcast", "alice", "set o:<affiliations node='{N}/a'><affiliation jid='{carol}' affiliation='outcast'/></affiliations>", "result"},
	{"92 told", "carol", "", "<subscription jid='{carol}' node='{N}/a' subscription='none'>"},
	{"65 subscribe", "carol", "set p:<subscribe node='{N}/a' jid='{carol}'/>", "auth: forbidden"},
	{"65 items", "carol", "get p:<items node='{N}/a'/>", "auth: forbidden"},
	{"31 not an owner", "bob", "set o:<purge node='{N}/a'/>", "auth: forbidden"},
	{"71 others", "carol", "set p:<unsubscribe node='{N}/a' jid='{bob}'/>", "auth: forbidden"},
	{"71 not subscribed", "alice", "set p:<unsubscribe node='{N}/a' jid='{alice}'/>", "cancel: unexpected-request + not-subscribed"},
	{"21 purges tell", "alice", "set o:<configure node='{N}/a'>" + form("node_config", "notify_config=0", "notify_retract=1") + "</configure>", "result"},
	{"31 purge", "alice", "set o:<purge node='{N}/a'/>", "result"},
	{"31 event", "bob", "", "<purge node='{N}/a'>"},
	{"67 patterns", "carol", "set p:<subscribe node='{N}/p/*' jid='{carol}'/>", "subscription='subscribed'"},
	{"67 publish", "alice", "set p:<publish node='{N}/p/1'>" + item("1", "1") + "</publish>", "result"},
	{"67 event", "carol", "", "<items node='{N}/p/1'>"},
	{"71 unsubscribe", "carol", "set p:<unsubscribe node='{N}/p/*' jid='{carol}'/>", "result"},
	{"70 a node that sends its last", "alice", "set p:<create node='{N}/last'/><configure>" + form("node_config", "send_last_published_item=on_sub") + "</configure>", "result"},
	{"70 item", "alice", "set p:<publish node='{N}/last'>" + item("1", `"last"`) + "</publish>", "result"},
	{"70 subscribe", "carol", "set p:<subscribe node='{N}/last' jid='{carol}'/>", "subscription='subscribed'"},
	{"70 the last", "carol", "", `<json>"last"</json> … <delay from='{S}' stamp='`},
	{"41 a node that only notifies", "alice", "set p:<create node='{N}/only'/><configure>" + form("node_config", "persist_items=0", "deliver_payloads=0") + "</configure>", "result"},
	{"41 with an item", "alice", "set p:<publish node='{N}/only'>" + item("1", "1") + "</publish>", "modify: bad-request + item-forbidden"},
	{"41 without", "alice", "set p:<publish node='{N}/only'/>", "result"},
	{"88 transient", "alice", "get p:<items node='{N}/only'/>", "cancel: feature-not-implemented"},
	{"29 not an owner", "bob", "set o:<delete node='{N}/a'/>", "auth: forbidden"},
	{"29 delete", "alice", "set o:<delete node='{N}/a'/>", "result"},
	{"29 event", "bob", "", "<delete node='{N}/a'>"},
	{"30 nothing left", "alice", "get o:<affiliations node='{N}/a'/>", "cancel: item-not-found"},
	{"30 made again", "alice", "set p:<create node='{N}/a'/>", "result"},
	{"30 empty", "alice", "get o:<subscriptions node='{N}/a'/>", "<subscriptions node='{N}/a'></subscriptions>"},
	{"19 a name", "alice", "set p:<create node='{N}/-_!~()$@'/>", "result"},
	{"19 as it was", "alice", discoInfo + " node='{N}/-_!~()$@'/>", "node='{N}/-_!~()$@'"},
	{"20 form", "alice", "get o:<configure node='{N}/a'/>", "var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#node_config</value>"},
	{"35 a node that names publishers", "alice", "set p:<create node='{N}/who'/><configure>" + form("node_config", "itemreply=publisher") + "</configure>", "result"},
	{"35 forged", "alice", "set p:<publish node='{N}/who'><item id='1' publisher='{bob}'><json xmlns='urn:xmpp:json:0'>1</json></item></publish>", "result"},
	{"35 named", "alice", "get p:<items node='{N}/who'/>", "<item id='1' publisher='{alice}'>"},
	{"46 a node for one item", "alice", "set p:<create node='{N}/full'/><configure>" + form("node_config", "max_items=1", "publish_node_full=reject") + "</configure>", "result"},
	{"46 the first", "alice", "set p:<publish node='{N}/full'>" + item("1", "1") + "</publish>", "result"},
	{"46 the second", "alice", "set p:<publish node='{N}/full'>" + item("2", "2") + "</publish>", "cancel: conflict + node-full"},
	{"46 in its place", "alice", "set p:<publish node='{N}/full'>" + item("1", "3") + "</publish>", "result"},
	{"50, 54, 55 all kinds", "alice", "set p:<publish node='{N}/a'>" + item("1", "[]") + item("2", "true") + item("3", "null") + item("4", "1e400") +
		item("5", `{"b":12345678901234567890,"a":1.0,"a":-0}`) + item("6", `"\u0000\ud800 😀"`) + "</publish>", "result"},
	{"50, 54, 55 as they were", "alice", "get p:<items node='{N}/a'/>", `<json>[]</json> … <json>true</json> … <json>null</json> … <json>1e400</json> … ` +
		`<json>{"b":12345678901234567890,"a":1.0,"a":-0}</json> … <json>"\u0000\ud800 😀"</json>`},
	{"56 deep", "alice", "set p:<publish node='{N}/a'>" + item("7", strings.Repeat("[", 200)+strings.Repeat("]", 200)) + "</publish>", "modify: bad-request + invalid-payload"},
	{"66 a node that lets people in", "alice", "set p:<create node='{N}/ask'/><configure>" + form("node_config", "access_model=authorize") + "</configure>", "result"},
	{"66 asks", "carol", "set p:<subscribe node='{N}/ask' jid='{carol}'/>", "subscription='pending'"},
	{"66 the owner is asked", "alice", "", "#subscribe_authorization</value> … <value>{N}/ask</value> … <value>{carol}</value>"},
	{"66 asks again", "carol", "set p:<subscribe node='{N}/ask' jid='{carol}'/>", "auth: not-authorized + pending-subscription"},
	{"66 reads nothing", "carol", "get p:<items node='{N}/ask'/>", "auth: not-authorized + not-subscribed"},
	{"66 what waits", "alice", "set <command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/pubsub#get-pending' action='execute'>" +
		form("subscribe_authorization", "node={N}/ask") + "</command>", "status='completed'"},
	{"66 is sent again", "alice", "", "<value>{N}/ask</value> … <value>{carol}</value>"},
	{"66 not his to answer", "bob", "message " + form("subscribe_authorization", "node={N}/ask", "subscriber_jid={carol}", "allow=1"), ""},
	{"66 he is told", "bob", "", "auth: forbidden"},
	{"66 yes", "alice", "message " + form("subscribe_authorization", "node={N}/ask", "subscriber_jid={carol}", "allow=1"), ""},
	{"66 told", "carol", "", "<subscription jid='{carol}' node='{N}/ask' subscription='subscribed'>"},
	{"66 publish", "alice", "set p:<publish node='{N}/ask'>" + item("1", `"for those let in"`) + "</publish>", "result"},
	{"66 event", "carol", "", `<json>"for those let in"</json>`},
	{"75 events name the item", "alice", "set o:<configure node='{N}/ask'>" + form("node_config", "deliver_payloads=0") + "</configure>", "result"},
	{"75 publish", "alice", "set p:<publish node='{N}/ask'>" + item("2", "2") + "</publish>", "result"},
	{"75 event", "carol", "", "<items node='{N}/ask'><item id='2'></item></items>"},
	{"79 a node for who is there", "alice", "set p:<create node='{N}/here'/><configure>" + form("node_config", "presence_based_delivery=1") + "</configure>", "result"},
	{"79 subscribe", "bob", "set p:<subscribe node='{N}/here' jid='{bob}'/>", "result"},
	{"79 nobody is there", "alice", "set p:<publish node='{N}/here'>" + item("1", "1") + "</publish>", "result"},
	{"79 somebody comes", "bob", "presence", ""},
	{"79 is seen", "bob", "get <ping xmlns='urn:xmpp:ping'/>", "result"},
	{"79 now", "alice", "set p:<publish node='{N}/here'>" + item("2", "2") + "</publish>", "result"},
	{"79 event", "bob", "", "<item id='2'> … !<item id='1'>"},
}
