package xmpp

import (
	"sort"
	"strconv"

	"mellium.im/xmpp/paging"

	"waft/broker"
	"waft/xmpp/component"
)

// limits is what a request wants to see of a result set (XEP-0059). Places in a history are named by their position,
// the same text that resumes a subscription on other protocols; places in a list of nodes by the node.
type limits struct {
	asked         bool // the request has a <set/>; without, the zero value but for max
	max           int  // entries at most; 0: the count only
	after, before string
	backwards     bool // from the end, or from before
}

// readPaging reads the <set/> in an element. most bounds what the requester asks for.
func readPaging(in *component.Element, most int) (limits, error) {
	l := limits{max: most}
	set := in.Child(paging.NS, "set")
	if set == nil {
		return l, nil
	}
	l.asked = true
	for _, c := range set.Children {
		switch c.Name.Local {
		case "max":
			n, err := strconv.Atoi(c.Text)
			if err != nil || n < 0 {
				return l, errBadPaging
			}
			l.max = min(n, most)
		case "after":
			l.after = c.Text
		case "before":
			l.before, l.backwards = c.Text, true
		case "index":
			return l, errNoIndex
		}
	}
	if l.after != "" && l.backwards {
		return l, errBadPaging
	}
	return l, nil
}

// history is the limits for the broker's history. A position that cannot be read is one that is gone.
func (l limits) history() (broker.Range, error) {
	after, err1 := broker.ParsePosition(l.after)
	before, err2 := broker.ParsePosition(l.before)
	if err1 != nil || err2 != nil {
		return broker.Range{}, errNoSuchPosition
	}
	// Asked for nothing in particular, the newest matter most. For the count alone one message is read, and not shown.
	return broker.Range{After: after, Before: before, Limit: max(l.max, 1), Newest: l.backwards || !l.asked}, nil
}

// window applies the limits to a list of n names in order: [from, to) of it.
func (l limits) window(n int, name func(int) string) (from, to int) {
	from, to = 0, n
	if l.after != "" {
		from = sort.Search(n, func(i int) bool { return name(i) > l.after })
	}
	if l.before != "" {
		to = sort.Search(n, func(i int) bool { return name(i) >= l.before })
	}
	if l.backwards {
		return max(from, to-l.max), to
	}
	return from, min(to, from+l.max)
}

// window tells which part of a result set an answer is.
type window struct {
	first, last  string
	index, count int // of the first entry in the whole set; entries in the answer
	total        int
}

// append adds the <set/>. XEP-0059 §2.6: no first and last where there is no entry.
func (w window) append(b []byte) []byte {
	b = append(b, "<set xmlns='"+paging.NS+"'>"...)
	if w.count > 0 {
		b = append(b, "<first index='"...)
		b = append(strconv.AppendInt(b, int64(w.index), 10), "'>"...)
		b = append(component.AppendText(b, w.first), "</first><last>"...)
		b = append(component.AppendText(b, w.last), "</last>"...)
	}
	b = append(b, "<count>"...)
	return append(strconv.AppendInt(b, int64(w.total), 10), "</count></set>"...)
}
