package xmpp

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// asking is an archive's query; fields are "name=value".
func asking(node, more string, fields ...string) string {
	b := "<query xmlns='urn:xmpp:mam:2' queryid='f&amp;' node='" + node + "'>"
	if len(fields) > 0 {
		b += strings.Replace(filling(fields...), "<field", "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field", 1)
	}
	return b + more + "</query>"
}

var resultIDs = regexp.MustCompile(`<message from='waft.localhost' to='[^']+' id='[A-Z2-7]{26}'>`)

// found is one answer of an archive.
type found struct {
	stanzas     []string // the results, whole
	ids, items  []string // their places, and the ids of their items
	complete    bool
	first, last string
	count       string // "" if it was not said
	refused     string // the error, if it was one
}

// finds asks an archive.
func (p *server) finds(from, query string) (f found) {
	p.t.Helper()
	p.send(iq(from, "set", query))
	part := func(s, from, to string) string {
		_, s, _ = strings.Cut(s, from)
		s, _, _ = strings.Cut(s, to)
		return s
	}
	for {
		p.until("<")
		switch kind := strings.TrimRight(p.until(" "), " "); kind {
		case "message":
			s := "<message " + p.until("</result></message>")
			f.stanzas = append(f.stanzas, resultIDs.ReplaceAllString(s, "<M>"))
			f.ids = append(f.ids, part(s, " id='", "'><forwarded")[strings.LastIndex(part(s, " id='", "'><forwarded"), "'")+1:])
			f.items = append(f.items, part(s, "<item id='", "'"))
		default:
			s := p.until("</iq>")
			if strings.Contains(s, "<error") {
				f.refused = "<iq " + s
				return f
			}
			f.complete = strings.Contains(s, "<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'>")
			f.first, f.last, f.count = part(s, "<first>", "<"), part(s, "<last>", "<"), part(s, "<count>", "<")
			if !strings.Contains(s, "<fin xmlns='urn:xmpp:mam:2'") {
				p.t.Errorf("no end: %s", s)
			}
			return f
		}
	}
}

func (p *server) wantItems(f found, complete bool, items ...string) {
	p.t.Helper()
	if !slices.Equal(f.items, items) || f.complete != complete || f.refused != "" {
		p.t.Errorf("found %q, complete %t, %s; want %q, %t", f.items, f.complete, f.refused, items, complete)
	}
	if len(items) > 0 && (f.first == "" || f.last == "") {
		p.t.Errorf("first %q, last %q", f.first, f.last)
	}
}

// keeping keeps n messages of each channel.
func keeping(n int) func(*setup) {
	return func(o *setup) {
		o.broker.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: n} }
	}
}

// filled publishes items 1 to n, a minute apart, the odd ones bob's.
func (w *world) filled(node string, n int) {
	for i := 1; i <= n; i++ {
		who := alice
		if i%2 == 1 {
			who = bob
		}
		w.answers(who, "set", publishing(node, item(fmt.Sprint(i), fmt.Sprint(i))), published(who, node, fmt.Sprint(i)))
		time.Sleep(time.Minute)
	}
}

// Checklist 89.
func TestArchive_shape(t *testing.T) {
	dialogue(t, keeping(10), func(w *world) {
		w.answers(alice, "set", publishing("/a", item("7", `"&lt;"`)), published(alice, "/a", "7"))
		f := w.finds(bob, asking("a", ""))
		at := w.position("/a", 1)
		want := "<M><result xmlns='urn:xmpp:mam:2' queryid='f&amp;' id='" + at + "'><forwarded xmlns='urn:xmpp:forward:0'>" +
			"<delay xmlns='urn:xmpp:delay' stamp='2000-01-01T00:00:00.000Z'/><message xmlns='jabber:client' type='headline' from='waft.localhost'>" +
			"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='a'>" + item("7", `"&lt;"`) + "</items></event></message></forwarded></result></message>"
		if len(f.stanzas) != 1 || f.stanzas[0] != want || !f.complete || f.first != at || f.last != at || f.count != "1" {
			t.Errorf("%+v\nwant\n%s", f, want)
		}
		w.wantItems(w.finds(bob, asking("/empty", "")), true)
		for _, c := range []struct{ name, query, shape, text string }{
			{"no node", "<query xmlns='urn:xmpp:mam:2'/>", "modify: bad-request + nodeid-required", "the node is missing"},
			{"no name of a node", asking("a b", ""), "cancel: item-not-found", `channel "/a b" has " " at byte 2, which no channel may have`},
			{"closed by the rules", asking("/secret/1", ""), "auth: forbidden", "the node is not open to you"},
			{"unknown field", asking("/a", "", "withtext=x"), "cancel: feature-not-implemented", `archives are not searched by "withtext"`},
			{"another form", asking("/a", strings.Replace(filling("start=x"), "<field", typeField("x")+"<field", 1)), "modify: bad-request", `the form is of the type "waft#x"; it must be urn:xmpp:mam:2`},
			{"no time", asking("/a", "", "start=yesterday"), "modify: bad-request", `"yesterday" cannot be read as start`},
			{"no JID", asking("/a", "", "with=@"), "modify: bad-request", `"@" cannot be read as with`},
			{"two times", asking("/a", "", "end=x|y"), "modify: bad-request", `"end" has several values`},
			{"index", asking("/a", rsm("<index>1</index>")), "cancel: feature-not-implemented", "pages are found by before and after, not by index"},
			{"unknown place", asking("/a", rsm("<after>1-1</after>")), "cancel: item-not-found", "the item to continue from is gone"},
			{"no place", asking("/a", "", "after-id=x"), "cancel: item-not-found", "the item to continue from is gone"},
			{"unknown after-id", asking("/a", "", "after-id=1-1"), "cancel: item-not-found", "the item to continue from is gone"},
			{"unknown before-id", asking("/a", "", "before-id="+w.position("/a", 9)), "cancel: item-not-found", "the item to continue from is gone"},
			{"unknown id", asking("/a", "", "ids="+at+"|"+w.position("/a", 2)), "cancel: item-not-found", "the item to continue from is gone"},
			{"long queryid", "<query xmlns='urn:xmpp:mam:2' node='/a' queryid='" + strings.Repeat("x", 513) + "'/>", "modify: bad-request", "the queryid is too long"},
		} {
			if f := w.finds(bob, c.query); f.refused != refused(bob, c.shape, c.text) {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		w.creates(carol, "/closed", "access_model=whitelist")
		w.creates(carol, "/transient", "persist_items=0")
		if f := w.finds(bob, asking("/closed", "")); f.refused != refused(bob, "auth: forbidden", "the node is not open to you") {
			t.Error(f.refused)
		}
		w.wantItems(w.finds(carol, asking("/closed", "")), true)
		if f := w.finds(carol, asking("/transient", "")); !strings.Contains(f.refused, "<unsupported xmlns='http://jabber.org/protocol/pubsub#errors' feature='persistent-items'/>") {
			t.Error(f.refused)
		}
		if got := w.ask(carol, "get", info("/transient")); strings.Contains(got, "urn:xmpp:mam") {
			t.Errorf("an archive is announced that is not there: %s", got)
		}
	})
}

func TestArchive_filters(t *testing.T) {
	dialogue(t, keeping(20), func(w *world) {
		w.creates(bob, "/a", "publish_model=open", "itemreply=publisher")
		w.filled("/a", 6) // at 00:00 to 00:05
		at := func(i uint64) string { return w.position("/a", i) }
		clock := func(minute, second int) string { return fmt.Sprintf("2000-01-01T00:%02d:%02dZ", minute, second) }
		for _, c := range []struct {
			name     string
			query    string
			complete bool
			items    string
		}{
			{"start is within", asking("/a", "", "start="+clock(3, 0)), true, "4 5 6"},
			{"start between", asking("/a", "", "start="+clock(2, 30)), true, "4 5 6"},
			{"start before all", asking("/a", "", "start=1999-12-31T22:59:59.5-01:00"), true, "1 2 3 4 5 6"},
			{"half a second later", asking("/a", "", "start=1999-12-31T23:00:00.5-01:00"), true, "2 3 4 5 6"},
			{"start after all", asking("/a", "", "start="+clock(9, 0)), true, ""},
			{"end is within", asking("/a", "", "end="+clock(3, 0)), true, "1 2 3 4"},
			{"end between", asking("/a", "", "end="+clock(2, 59)), true, "1 2 3"},
			{"end before all", asking("/a", "", "end=1999-12-31T23:59:59Z"), true, ""},
			{"end after all", asking("/a", "", "end="+clock(9, 0)), true, "1 2 3 4 5 6"},
			{"both", asking("/a", "", "start="+clock(1, 0), "end="+clock(3, 0)), true, "2 3 4"},
			{"nothing between", asking("/a", "", "start="+clock(1, 1), "end="+clock(1, 59)), true, ""},
			{"the wrong way round", asking("/a", "", "start="+clock(3, 0), "end="+clock(1, 0)), true, ""},
			{"a page of both", asking("/a", rsm("<max>2</max>"), "start="+clock(1, 0), "end="+clock(3, 0)), false, "2 3"},
			{"the next", asking("/a", rsm("<max>2</max><after>"+at(3)+"</after>"), "start="+clock(1, 0), "end="+clock(3, 0)), true, "4"},
			{"the last page", asking("/a", rsm("<max>2</max><before/>"), "end="+clock(3, 0)), false, "3 4"},
			{"the one before", asking("/a", rsm("<max>2</max><before>"+at(3)+"</before>"), "end="+clock(3, 0)), true, "1 2"},
			{"after-id", asking("/a", "", "after-id="+at(4)), true, "5 6"},
			{"before-id", asking("/a", "", "before-id="+at(3)), true, "1 2"},
			{"between ids", asking("/a", "", "after-id="+at(2), "before-id="+at(4)), true, "3"},
			{"ids and pages", asking("/a", rsm("<max>1</max><after>"+at(3)+"</after>"), "after-id="+at(2)), false, "4"},
			{"ids", asking("/a", "", "ids="+at(5)+"|"+at(1)+"|"+at(5)), true, "1 5"},
			{"flipped", asking("/a", rsm("<max>3</max>")+"<flip-page/>"), false, "3 2 1"},
			{"all", asking("/a", ""), true, "1 2 3 4 5 6"},
			{"first page", asking("/a", rsm("<max>4</max>")), false, "1 2 3 4"},
			{"count", asking("/a", rsm("<max>0</max>")), false, ""},
			{"with a publisher", asking("/a", rsm("<max>2</max>"), "with=bob@localhost"), false, "1 3"},
			{"with, the rest", asking("/a", rsm("<max>2</max><after>"+at(3)+"</after>"), "with=bob@localhost"), true, "5"},
			{"with, backwards", asking("/a", rsm("<max>2</max><before/>"), "with=bob@localhost"), false, "3 5"},
			{"with nobody", asking("/a", "", "with=carol@localhost"), true, ""},
			{"with the service", asking("/a", "", "with=waft.localhost", "start="+clock(4, 0)), true, "5 6"},
		} {
			f := w.finds(carol, c.query)
			if got := strings.Join(f.items, " "); got != c.items || f.complete != c.complete || f.refused != "" {
				t.Errorf("%s: found %s, complete %t, %s; want %s, %t", c.name, got, f.complete, f.refused, c.items, c.complete)
			}
			if c.name == "count" && f.count != "6" || c.name == "both" && f.count != "" {
				t.Errorf("%s: the count is %q", c.name, f.count)
			}
		}
		// Where the publisher is not named, nobody can ask for it.
		w.configures(bob, "/a", "itemreply=owner")
		w.wantItems(w.finds(carol, asking("/a", "", "with=bob@localhost")), true)
		// What the node does not show is not in its archive.
		w.configures(bob, "/a", "max_items=2")
		w.wantItems(w.finds(carol, asking("/a", "", "start="+clock(0, 0))), true, "5", "6")
		w.wantItems(w.finds(carol, asking("/a", "", "end="+clock(9, 0))), true, "5", "6")
		w.wantItems(w.finds(carol, asking("/a", "", "end="+clock(3, 0))), true)
		if f := w.finds(carol, asking("/a", rsm("<max>1</max><after>"+at(1)+"</after>"), "after-id="+at(5))); !strings.Contains(f.refused, "item-not-found") {
			t.Errorf("a page behind what is gone is found where another bound makes that idle: %+v", f)
		}
		w.answers(carol, "get", "<metadata xmlns='urn:xmpp:mam:2' node='/a'/>", result(carol, "<metadata xmlns='urn:xmpp:mam:2'><start id='"+at(5)+
			"' timestamp='2000-01-01T00:04:00.000Z'/><end id='"+at(6)+"' timestamp='2000-01-01T00:05:00.000Z'/></metadata>"))
		w.answers(carol, "get", "<metadata xmlns='urn:xmpp:mam:2' node='/b'/>", result(carol, "<metadata xmlns='urn:xmpp:mam:2'></metadata>"))
		w.answers(carol, "get", "<query xmlns='urn:xmpp:mam:2' node='/a'/>", result(carol, "<query xmlns='urn:xmpp:mam:2' node='/a'><x xmlns='jabber:x:data' type='form'>"+
			"<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field var='with' type='jid-single'></field><field var='start' type='text-single'></field>"+
			"<field var='end' type='text-single'></field><field var='before-id' type='text-single'></field><field var='after-id' type='text-single'></field>"+
			"<field var='ids' type='list-multi'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'><open/></validate></field></x></query>"))
	})
}

// Times, by halving, on histories with holes.
func TestArchive_finds_times_among_removed_items(t *testing.T) {
	dialogue(t, keeping(100), func(w *world) {
		w.filled("/a", 40)
		for i := 1; i <= 40; i++ {
			if i%3 != 0 && i%7 != 0 {
				if err := w.broker.Remove(t.Context(), principal("alice@localhost"), "/a", fmt.Sprint(i), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		for start := range 41 {
			var want []string
			for i := 1; i <= 40; i++ {
				if (i%3 == 0 || i%7 == 0) && i-1 >= start {
					want = append(want, fmt.Sprint(i))
				}
			}
			w.wantItems(w.finds(bob, asking("/a", "", fmt.Sprintf("start=2000-01-01T00:%02d:00Z", start))), true, want...)
		}
	})
}

// Checklist 86: from page to page, forwards and backwards, while others publish and remove.
func TestArchive_walk_meets_everything_once(t *testing.T) {
	const n = 1000
	for name, way := range map[string]func(at string) string{
		"forwards":  func(at string) string { return "<after>" + at + "</after>" },
		"backwards": func(at string) string { return "<before>" + at + "</before>" },
	} {
		t.Run(name, func(t *testing.T) {
			dialogue(t, keeping(3*n), func(w *world) {
				for i := range n {
					w.publish("/a", fmt.Sprint(i))
				}
				seen := make(map[string]int)
				at, more := "", n
				for page := 0; ; page++ {
					f := w.finds(bob, asking("/a", rsm("<max>37</max>"+way(at))))
					if f.refused != "" || len(f.ids) > 37 {
						t.Fatal(len(f.ids), f.refused)
					}
					var datas []string
					for i, s := range f.stanzas {
						_, data, _ := strings.Cut(s, "<json xmlns='urn:xmpp:json:0'>")
						data, _, _ = strings.Cut(data, "<")
						seen[data]++
						datas = append(datas, data)
						if i > 0 && data != fmt.Sprint(atoi(datas[i-1])+1) {
							t.Fatalf("%s comes after %s", data, datas[i-1])
						}
					}
					if f.complete {
						break
					}
					if at = f.last; name == "backwards" {
						at = f.first
					}
					for range 10 { // others go on
						w.publish("/a", fmt.Sprint(more))
						more++
					}
				}
				for i := range n {
					if seen[fmt.Sprint(i)] != 1 {
						t.Errorf("item %d was met %d times", i, seen[fmt.Sprint(i)])
					}
				}
				for data, times := range seen {
					if times != 1 {
						t.Errorf("item %s was met %d times", data, times)
					}
				}
			})
		})
	}
}

func atoi(s string) (n int) { _, _ = fmt.Sscan(s, &n); return n }

// A page is bounded by what it weighs, and by what was looked at; the walk goes on from there.
func TestArchive_pages_are_bounded(t *testing.T) {
	dialogue(t, func(o *setup) { keeping(3 * maxScan)(o); o.service.MaxPage = 50 }, func(w *world) {
		w.creates(alice, "/b", "publish_model=open", "itemreply=publisher")
		w.answers(bob, "set", publishing("/b", item("bob", "1")), published(bob, "/b", "bob"))
		for range maxScan {
			w.publish("/b", "1")
		}
		f := w.finds(bob, asking("/b", rsm("<max>5</max><before/>"), "with=bob@localhost"))
		w.wantItems(f, false)
		w.wantItems(w.finds(bob, asking("/b", rsm("<max>5</max><before>"+f.first+"</before>"), "with=bob@localhost")), true, "bob")
		if f := w.finds(bob, asking("/b", rsm("<max>500</max>"))); len(f.items) != 50 || f.complete {
			t.Errorf("a page of %d, complete %t", len(f.items), f.complete)
		}

		big := `"` + strings.Repeat("x", 120<<10) + `"`
		for range 12 {
			w.publish("/big", big)
		}
		f = w.finds(bob, asking("/big", ""))
		if len(f.items) != 8 || f.complete {
			t.Errorf("%d big ones, complete %t", len(f.items), f.complete)
		}
		if f = w.finds(bob, asking("/big", rsm("<after>"+f.last+"</after>"))); len(f.items) != 4 || !f.complete {
			t.Errorf("and then %d, complete %t", len(f.items), f.complete)
		}
		if f = w.finds(bob, asking("/big", rsm("<before/>"))); len(f.items) != 8 || f.complete || f.last != w.position("/big", 12) {
			t.Errorf("from the end %d, complete %t", len(f.items), f.complete)
		}
	})
}

// Who would have to ask an owner first is refused as everybody is whom a node keeps out (XEP-0313 §4).
func TestArchive_of_a_node_that_lets_people_in(t *testing.T) {
	dialogue(t, keeping(10), func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		w.answers(alice, "set", publishing("/a", item("1", "1")), published(alice, "/a", "1"))
		if f := w.finds(bob, asking("/a", "")); f.refused != refused(bob, "auth: forbidden", "the node is not open to you") {
			t.Errorf("bob is told %s", f.refused)
		}
		w.petitions(bob, "/a", "bob@localhost")
		w.gets(requestTo("alice@localhost", "bob@localhost", "/a"))
		if f := w.finds(bob, asking("/a", "")); f.refused != refused(bob, "auth: forbidden", "the node is not open to you") {
			t.Errorf("who waits is told %s", f.refused)
		}
		w.send(decidingOn(alice, "/a", "bob@localhost", "1"))
		w.gets(state("/a", "bob@localhost", "subscribed"))
		w.wantItems(w.finds(bob, asking("/a", "")), true, "1")
	})
}
