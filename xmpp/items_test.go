package xmpp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"waft/broker"
)

func wanting(attrs, inside, beside string) string {
	return pubsubOf("<items " + attrs + ">" + inside + "</items>" + beside)
}

func retrieved(node, items, set string) string {
	return pubsubOf("<items node='" + node + "'>" + items + "</items>" + set)
}

// Checklist 84.
func TestItems(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(alice, "set", publishing("/a", item("1", "1"), item("2", "2"), item("3", "3")), published(alice, "/a", "1", "2", "3"))
		one, two, three := item("1", "1"), item("2", "2"), item("3", "3")
		for _, c := range []struct{ attrs, inside, items string }{
			{"node='/a'", "", one + two + three},
			{"node='/a' max_items='2'", "", two + three}, // the newest
			{"node='/a' max_items='100'", "", one + two + three},
			{"node='/a'", "<item id='2'/>", two},
			{"node='/a'", "<item id='3'/><item id='1'/><item id='x'/>", one + three},
			{"node='/a'", "<item id='x'/>", ""},
			{"node='/b'", "", ""},
		} {
			node := c.attrs[6:8]
			w.answers(bob, "get", wanting(c.attrs, c.inside, ""), result(bob, retrieved(node, c.items, "")))
		}
	})
}

// Checklist 63, 84, 85, 87 by rules.
func TestItems_refuses(t *testing.T) {
	for _, c := range []struct{ name, payload, shape, text string }{
		{"no node", wanting("", "", ""), "modify: bad-request + nodeid-required", "the node is missing"},
		{"pattern", wanting("node='/a/*'", "", ""), "cancel: item-not-found", `channel "/a/*" has "*" at byte 3, which no channel may have`},
		{"closed", wanting("node='/inbox/1'", "", ""), "cancel: not-allowed + closed-node", "the node is not open to you"},
		{"max_items 0", wanting("node='/a' max_items='0'", "", ""), "modify: bad-request", "max_items is a number from 1 up"},
		{"max_items -1", wanting("node='/a' max_items='-1'", "", ""), "modify: bad-request", "max_items is a number from 1 up"},
		{"max_items max", wanting("node='/a' max_items='max'", "", ""), "modify: bad-request", "max_items is a number from 1 up"},
		{"subid", wanting("node='/a' subid='1'", "", ""), "modify: not-acceptable + invalid-subid", "subscriptions have no subid here"},
		{"too many ids", wanting("node='/a'", strings.Repeat("<item id='1'/>", 4), ""), "modify: not-acceptable", "the answer would be too big; ask for less at a time"},
		{"85 index", wanting("node='/a'", "", rsm("<index>1</index>")), "cancel: feature-not-implemented", "pages are found by before and after, not by index"},
		{"85 bad max", wanting("node='/a'", "", rsm("<max>x</max>")), "modify: bad-request", "the limits of the result set make no sense"},
		{"85 both ends", wanting("node='/a'", "", rsm("<after>a</after><before>b</before>")), "modify: bad-request", "the limits of the result set make no sense"},
		{"85 vanished", wanting("node='/a'", "", rsm("<after>a-1</after>")), "cancel: item-not-found", "the item to continue from is gone"},
		{"85 nonsense", wanting("node='/a'", "", rsm("<before>!</before>")), "cancel: item-not-found", "the item to continue from is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, func(o *setup) { o.service.MaxPage = 3 }, func(w *world) {
				w.answers(bob, "get", c.payload, refused(bob, c.shape, c.text))
			})
		})
	}
}

// Checklist 85.
func TestItems_in_pages(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxPage = 4 }, func(w *world) {
		var at []string // positions
		for i := range 5 {
			m := &broker.Message{ID: fmt.Sprint(i), Channel: "/a", Data: []byte("1")}
			r, err := w.broker.Publish(t.Context(), principal("alice@localhost"), m, broker.PublishOptions{})
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, r.Position.String())
		}
		page := func(limits string, index int, items ...int) {
			t.Helper()
			var list strings.Builder
			for _, i := range items {
				list.WriteString(item(fmt.Sprint(i), "1"))
			}
			set := "<count>5</count>"
			if len(items) > 0 {
				set = fmt.Sprintf("<first index='%d'>%s</first><last>%s</last>", index, at[items[0]], at[items[len(items)-1]]) + set
			}
			w.answers(bob, "get", wanting("node='/a'", "", limits), result(bob, retrieved("/a", list.String(), rsm(set))))
		}
		page("", 1, 1, 2, 3, 4) // more than are given at once: the newest
		page(rsm("<max>2</max>"), 0, 0, 1)
		page(rsm("<max>2</max><after>"+at[1]+"</after>"), 2, 2, 3)
		page(rsm("<max>2</max><after>"+at[3]+"</after>"), 4, 4)
		page(rsm("<max>2</max><after>"+at[4]+"</after>"), 0)
		page(rsm("<max>2</max><before/>"), 3, 3, 4)
		page(rsm("<max>2</max><before>"+at[3]+"</before>"), 1, 1, 2)
		page(rsm("<max>0</max>"), 0)
		page(rsm("<max>100</max>"), 0, 0, 1, 2, 3)
		page(rsm(""), 0, 0, 1, 2, 3)
		w.answers(bob, "get", wanting("node='/a' max_items='1'", "", rsm("<max>2</max>")), // the page counts
			result(bob, retrieved("/a", item("0", "1")+item("1", "1"), rsm("<first index='0'>"+at[0]+"</first><last>"+at[1]+"</last><count>5</count>"))))
	})
}

// Checklist 84, 59: an answer is never bigger than a server takes; what does not fit is left out at the old end, or at
// the end that the pages lead to.
func TestItems_are_as_many_as_one_stanza_holds(t *testing.T) {
	big := `"` + strings.Repeat("x", 1000) + `"`
	dialogue(t, func(o *setup) { o.service.Link.MaxOutStanza = 4000 }, func(w *world) {
		var at []string
		for i := range 4 {
			m := &broker.Message{ID: fmt.Sprint(i), Channel: "/a", Data: []byte(big)}
			r, err := w.broker.Publish(t.Context(), principal("alice@localhost"), m, broker.PublishOptions{})
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, r.Position.String())
		}
		set := func(index, first, last int) string {
			return rsm(fmt.Sprintf("<first index='%d'>%s</first><last>%s</last><count>4</count>", index, at[first], at[last]))
		}
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", item("2", big)+item("3", big), set(2, 2, 3))))
		w.answers(bob, "get", wanting("node='/a' max_items='3'", "", ""), result(bob, retrieved("/a", item("2", big)+item("3", big), set(2, 2, 3))))
		w.answers(bob, "get", wanting("node='/a'", "", rsm("<max>3</max>")), result(bob, retrieved("/a", item("0", big)+item("1", big), set(0, 0, 1))))

		w.publish("/b", `"`+strings.Repeat("x", 5000)+`"`)
		got := w.ask(bob, "get", wanting("node='/b'", "", ""))
		if want := result(bob, retrieved("/b", "<item id='NEW'/>", "")); assigned.ReplaceAllString(got, "id='NEW'") != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestItems_of_other_wires_are_left_out(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		m := &broker.Message{ID: "1", Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": json.RawMessage(`{"content":"x"}`)}}
		if _, err := w.broker.Publish(t.Context(), principal("alice@localhost"), m, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		w.answers(alice, "set", publishing("/a", item("2", "2")), published(alice, "/a", "2"))
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", item("2", "2"), "")))
	})
}
