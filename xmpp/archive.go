package xmpp

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"time"

	"mellium.im/xmpp/delay"
	"mellium.im/xmpp/forward"
	"mellium.im/xmpp/history"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/paging"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

const (
	nsArchive         = history.NS
	nsArchiveExtended = nsArchive + "#extended"
)

// The archive of a node (XEP-0313, XEP-0442) is what its channel keeps and the node shows, in the channel's order. An item's
// place in it is its position, the same text that pages of items have and that resumes a subscription on other protocols.
//
// A position never means another message later, and what is published comes after all there is: so whoever walks from
// page to page meets everything that was there when he began, once, whatever is published meanwhile. What is trimmed
// before he comes to it is an error (item-not-found), not a gap.

// excerpt is what a query wants of an archive.
type excerpt struct {
	limits
	queryID, node  string
	start, end     time.Time
	with           jid.JID
	after, before  broker.Position // of after-id and before-id
	ids            []broker.Position
	flipped, asked bool // the page is sent newest first; ids were asked for

	reached broker.Position // where a search stopped that did not find all it was asked for; zero if it went to the end
}

// archive answers a query with one message for each item and then with the end of the page (XEP-0313 §4).
func (s *Service) archive(ctx context.Context, r *request) error {
	q, err := s.excerpt(r)
	if err != nil {
		return err
	}
	c, l, err := s.archived(r, q.node)
	if err != nil {
		return err
	}
	page, err := s.search(ctx, r, c, l, q)
	if err != nil {
		return archiveError(err)
	}
	if q.max == 0 && !q.asked {
		page.Messages = nil
	}
	shown, stanzas := s.results(r, l, q, page.Messages)
	if len(shown) < len(page.Messages) {
		page.Complete = false
	}
	if q.flipped {
		slices.Reverse(stanzas)
	}
	for _, b := range stanzas {
		s.send(ctx, b)
	}
	r.out = append(r.out, "<fin xmlns='"+nsArchive+"'"...)
	if page.Complete {
		r.out = append(r.out, " complete='true'"...)
	}
	r.out = append(r.out, "><set xmlns='"+paging.NS+"'>"...)
	if first, last := q.ends(shown); !first.IsZero() {
		r.out = append(append(append(r.out, "<first>"...), first.String()...), "</first><last>"...)
		r.out = append(append(r.out, last.String()...), "</last>"...)
	}
	if q.plain() { // of a part, nobody has counted how many there are
		r.out = append(r.out, "<count>"...)
		r.out = append(strconv.AppendInt(r.out, int64(page.Total), 10), "</count>"...)
	}
	r.out = append(r.out, "</set></fin>"...)
	return nil
}

// ends gives the first and last place of a page. A search that stopped on its way ends where it stopped, found or not, so
// that the next page goes on from there.
func (q *excerpt) ends(shown []*broker.Message) (first, last broker.Position) {
	if len(shown) > 0 {
		first, last = shown[0].Position, shown[len(shown)-1].Position
	}
	switch {
	case q.reached.IsZero():
	case len(shown) == 0:
		return q.reached, q.reached
	case q.backwards:
		first = q.reached
	default:
		last = q.reached
	}
	return first, last
}

// plain tells a query without a filter.
func (q *excerpt) plain() bool {
	return q.start.IsZero() && q.end.IsZero() && q.with.String() == "" && q.after.IsZero() && q.before.IsZero() && !q.asked
}

// excerpt reads a query.
func (s *Service) excerpt(r *request) (*excerpt, error) {
	q := &excerpt{node: r.payload.Attr("node"), queryID: r.payload.Attr("queryid")}
	if len(q.queryID) > broker.MaxIDBytes {
		return nil, errBadQuery.saying("the queryid is too long")
	}
	var err error
	if q.limits, err = readPaging(r.payload, s.opts.MaxPage); err != nil {
		return nil, err
	}
	q.flipped = r.payload.Child(nsArchive, "flip-page") != nil
	if r.payload.Child(nsForm, "x") == nil {
		return q, nil
	}
	f, err := readForm(r.payload, nsArchive, errBadQuery)
	if err != nil {
		return nil, err
	}
	for _, field := range f.fields {
		if err := q.filter(field, s.opts.MaxPage); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// filter reads one field of a query's form.
func (q *excerpt) filter(f formField, most int) (err error) {
	value := f.values[0]
	if len(f.values) > 1 && f.name != "ids" {
		return errBadQuery.saying(broker.Quote(f.name) + " has several values")
	}
	switch f.name {
	case "start":
		q.start, err = time.Parse(time.RFC3339, value)
	case "end":
		q.end, err = time.Parse(time.RFC3339, value)
	case "with":
		q.with, err = jid.Parse(value)
	case "after-id":
		q.after, err = broker.ParsePosition(value)
	case "before-id":
		q.before, err = broker.ParsePosition(value)
	case "ids":
		if q.asked = true; len(f.values) > most {
			return errAnswerTooBig
		}
		for _, v := range f.values {
			p, err := broker.ParsePosition(v)
			if err != nil || p.IsZero() {
				return errNoSuchPosition
			}
			q.ids = append(q.ids, p)
		}
	default:
		return errNoFilter.saying("archives are not searched by " + broker.Quote(f.name))
	}
	switch {
	case err == nil:
		return nil
	case f.name == "after-id" || f.name == "before-id":
		return errNoSuchPosition
	}
	return errBadQuery.saying(broker.Quote(value) + " cannot be read as " + f.name)
}

// archived finds a node's archive for who asks.
func (s *Service) archived(r *request, node string) (broker.Channel, *leaf, error) {
	c, err := channelOf(node)
	if err != nil {
		return "", nil, err
	}
	l := s.nodes.get(c)
	if err := s.mayRead(c, l, r.user); err != nil {
		return "", nil, archiveError(err)
	}
	if !l.config().Persist {
		return "", nil, unsupported(pubsub.FeaturePersistentItems)
	}
	return c, l, nil
}

// archiveError is the error of a query: to archives everybody who is kept out is forbidden (XEP-0313 §4), where XEP-0060 tells
// apart that the node is closed and that he may ask its owners.
func archiveError(err error) error {
	if errors.Is(err, errClosedNode) || errors.Is(err, errNotApproved) {
		return errArchiveForbidden
	}
	return err
}

// maxResultBytes bounds the results of one query: they wait for the link, and their worker with them.
const maxResultBytes = 1 << 20

// results renders messages, as many as are not too much, from the end where the page begins. Each is shaped like its live
// event (XEP-0442 §3), and names the node as the query did. Those without a form for XMPP are shown by being passed.
func (s *Service) results(r *request, l *leaf, q *excerpt, all []*broker.Message) (shown []*broker.Message, stanzas [][]byte) {
	conf := l.config()
	head := attr(attr([]byte("<message"), "from", s.domain), "to", r.From)
	size := 0
	for n := range all {
		i := n
		if q.backwards {
			i = len(all) - 1 - n
		}
		m := all[i]
		var b []byte
		b = append(attr(append(b, head...), "id", rand.Text()), "><result xmlns='"+nsArchive+"'"...)
		if q.queryID != "" {
			b = attr(b, "queryid", q.queryID)
		}
		b = append(attr(b, "id", m.Position.String()), "><forwarded xmlns='"+forward.NS+"'><delay xmlns='"+delay.NS+"'"...)
		b = append(attr(b, "stamp", stampOf(m.Time)), "/><message xmlns='jabber:client'"...)
		b = attr(attr(b, "type", conf.NotificationType), "from", s.domain)
		b = append(b, "><event xmlns='"+pubsub.NSEvent+"'><items"...)
		b = append(attr(b, "node", q.node), '>')
		form, err := itemWithin(m, conf.form(), s.opts.Link.MaxOutStanza-roomForEnd-len(b))
		if err == nil {
			b = append(append(b, form...), "</items></event></message></forwarded></result></message>"...)
			if size += len(b); size > maxResultBytes && len(stanzas) > 0 {
				break
			}
			stanzas = append(stanzas, b)
		}
		shown = append(shown, m)
	}
	if q.backwards {
		slices.Reverse(shown)
		slices.Reverse(stanzas)
	}
	return shown, stanzas
}

// archiveForm shows what a query can say (XEP-0313 §4.1.5).
func (s *Service) archiveForm(_ context.Context, r *request) error {
	r.out = append(r.out, "<query xmlns='"+nsArchive+"'"...)
	if node := r.payload.Attr("node"); node != "" {
		if _, _, err := s.archived(r, node); err != nil {
			return err
		}
		r.out = attr(r.out, "node", node)
	}
	r.out = append(r.out, "><x xmlns='"+nsForm+"' type='form'>"...)
	r.out = appendFields(r.out, "form", []fieldForm{
		{name: "FORM_TYPE", typ: "hidden", values: []string{nsArchive}},
		{name: "with", typ: "jid-single"},
		{name: "start", typ: "text-single"},
		{name: "end", typ: "text-single"},
		{name: "before-id", typ: "text-single"},
		{name: "after-id", typ: "text-single"},
	})
	r.out = append(r.out, "<field var='ids' type='list-multi'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'>"+
		"<open/></validate></field></x></query>"...)
	return nil
}

// archiveMetadata tells where an archive begins and ends (XEP-0313 §5).
func (s *Service) archiveMetadata(ctx context.Context, r *request) error {
	c, l, err := s.archived(r, r.payload.Attr("node"))
	if err != nil {
		return err
	}
	r.out = append(r.out, "<metadata xmlns='"+nsArchive+"'>"...)
	for _, end := range []struct {
		name   string
		newest bool
	}{{"start", false}, {"end", true}} {
		page, err := s.history(ctx, r.who, c, l, broker.Range{Limit: 1, Newest: end.newest})
		if err != nil {
			return archiveError(err)
		}
		for _, m := range page.Messages {
			r.out = attr(append(append(r.out, '<'), end.name...), "id", m.Position.String())
			r.out = append(attr(r.out, "timestamp", stampOf(m.Time)), "/>"...)
		}
	}
	r.out = append(r.out, "</metadata>"...)
	return nil
}
