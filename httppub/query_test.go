package httppub

import (
	"strings"
	"testing"
	"time"

	"waft/broker"
)

func TestQuery(t *testing.T) {
	at := broker.Position{Epoch: 71, Offset: 5}
	for _, c := range []struct {
		raw   string
		want  query
		fault string
	}{
		{raw: "", want: query{}},
		{raw: "since=" + at.String(), want: query{since: at}},
		{raw: "since=", want: query{}},
		{raw: "since=0", want: query{sinceStart: true}},
		{raw: "before=" + at.String() + "&order=desc&limit=7", want: query{before: at, newestFirst: true, limit: 7}},
		{raw: "order=asc", want: query{}},
		{raw: "wait=30&since=" + at.String(), want: query{since: at, waits: true, wait: 30 * time.Second}},
		{raw: "wait=0", want: query{waits: true}},
		{raw: "_=1700000000&_cb=x&_=2", want: query{}},

		{raw: "from=0", fault: `"from", which is none of since, before, limit, order, wait`},
		{raw: "access_token=x", fault: `"access_token", which is none of`},
		{raw: "since=0&since=0", fault: "several since"},
		{raw: "since=x", fault: "since: \"x\" is not a position that this server gave out"},
		{raw: "since=00", fault: "not a position"},
		{raw: "since=1z-5%20", fault: "not a position"},
		{raw: "since=1z-99999999999999999999", fault: "not a position"},
		{raw: "before=0", fault: "not a position"},
		{raw: "limit=0", fault: "limit: it must be 1 or more"},
		{raw: "limit=-1", fault: `limit: "-1" is not a whole number`},
		{raw: "limit=1e3", fault: "not a whole number"},
		{raw: "limit=", fault: "not a whole number"},
		{raw: "limit=9999999999", fault: "at most nine digits"},
		{raw: "limit=0000000001", fault: "at most nine digits"},
		{raw: "wait=1.5", fault: "wait: \"1.5\" is not a whole number"},
		{raw: "wait=30s", fault: "not a whole number"},
		{raw: "wait=%EF%BC%93", fault: "not a whole number"},
		{raw: "order=up", fault: `"up" is neither asc nor desc`},
		{raw: "wait=1&order=desc", fault: "order=asc alone"},
		{raw: "wait=1&before=" + at.String(), fault: "wait does not go with before"},
		{raw: "limit=1;since=0", fault: "cannot be read"},
		{raw: "since=%zz", fault: "cannot be read"},
		{raw: "limit=" + strings.Repeat("9", 10_000), fault: "…"},
		{raw: "limit=1%00", fault: `"1\x00" is not`},
	} {
		t.Run(c.raw[:min(len(c.raw), 40)], func(t *testing.T) {
			got, err := parseQuery(c.raw, messageList.parameters())
			switch {
			case c.fault == "" && (err != nil || got != c.want):
				t.Errorf("read %+v (%v), want %+v", got, err, c.want)
			case c.fault != "" && (broker.KindOf(err) != broker.Invalid || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("the error is %v and should have %q", err, c.fault)
			case err != nil && len(err.Error()) > 300:
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	if _, err := parseQuery("since=0", nil); err == nil || !strings.Contains(err.Error(), "takes none") {
		t.Errorf("an address without parameters: %v", err)
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"since=1z-5&limit=3", "since=0&wait=5", "order=desc&before=1z-5", "_=1", "%zz", "a;b", "prefix=chat&after=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for kind := range usage + 1 {
			q, err := parseQuery(raw, kind.parameters())
			if err != nil {
				if broker.KindOf(err) != broker.Invalid {
					t.Fatalf("%q: %v", raw, err)
				}
				continue
			}
			if n := q.most(1000); n < 1 || n > 1000 || q.wait < 0 {
				t.Fatalf("%q: limit %d, wait %v", raw, n, q.wait)
			}
			// The next page's query is one that is read again as the same, further on.
			at := broker.Position{Epoch: 1, Offset: 1}
			again, err := parseQuery(q.next(at, q.most(1000)), messageList.parameters())
			if err != nil || again.newestFirst != q.newestFirst {
				t.Fatalf("%q: the next page is %q: %v", raw, q.next(at, 1), err)
			}
		}
	})
}
