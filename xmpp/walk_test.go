package xmpp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"waft/broker"
)

// Checklist 86: whoever walks through a node in pages sees each item that was there at the start once, though publishing goes on.
func TestItems_walk_while_publishing_goes_on(t *testing.T) {
	for _, back := range []bool{false, true} {
		dialogue(t, func(o *setup) {
			o.broker.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 5000} }
		}, func(w *world) {
			const all, page = 1000, 70
			for i := range all {
				w.publish("/a", fmt.Sprintf(`"%d"`, i))
			}
			seen, at := make(map[string]int), ""
			for range 2 * all {
				limits := fmt.Sprintf("<max>%d</max><after>%s</after>", page, at)
				if back {
					limits = fmt.Sprintf("<max>%d</max><before>%s</before>", page, at)
				} else if at == "" {
					limits = fmt.Sprintf("<max>%d</max>", page)
				}
				got := w.ask(bob, "get", wanting("node='/a'", "", rsm(limits)))
				items := strings.Split(got, "<json xmlns='urn:xmpp:json:0'>")[1:]
				if len(items) == 0 {
					break
				}
				for _, i := range items {
					text, _, _ := strings.Cut(i, "<")
					seen[text]++
				}
				edge := "last>"
				if back {
					edge = "first index='"
				}
				_, rest, _ := strings.Cut(got, "<"+edge)
				if back {
					_, rest, _ = strings.Cut(rest, ">")
				}
				at, _, _ = strings.Cut(rest, "<")
				if len(seen) < 2*all {
					w.publish("/a", `"new"`)
					w.publish("/a", fmt.Sprintf(`"new %d"`, len(seen)))
				}
				if !back && len(seen) > all+50 {
					break
				}
			}
			for i := range all {
				if n := seen[fmt.Sprintf(`"%d"`, i)]; n != 1 {
					t.Errorf("backwards %v: item %d came %d times", back, i, n)
				}
			}
		})
	}
}

// Checklist 114: the link dies before the result; the client asks again with the same id, and there is one item.
func TestPublish_again_after_the_result_was_lost(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		free := w.stick()
		defer free()
		w.send(iq(alice, "set", publishing("/a", item("7", `"once"`))))
		synctest.Wait()
		_ = w.conn.Close()
		synctest.Wait()
		w.accept()
		w.answers(alice, "set", publishing("/a", item("7", `"once"`)), published(alice, "/a", "7"))
		w.answers(alice, "get", wanting("node='/a'", "", ""), result(alice, retrieved("/a", item("7", `"once"`), "")))
	})
}
