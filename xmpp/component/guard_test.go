//go:build !race

package component

import "testing"

// A publish of 200 bytes of JSON, cut from the stream and parsed. The link knows nothing of the broker, nor of its test helpers.
func TestGuard_parse(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("instrumented for coverage")
	}
	o := defaults(t)
	f := newFramer(&endless{header: testHeader, stanza: publishStanza}, o.limits())
	fr, err := f.next()
	if err != nil {
		t.Fatal(err)
	}
	header, err := startTag(fr.raw)
	if err != nil {
		t.Fatal(err)
	}
	p, jids := newParser(header.Attr, &o), jidCache{}
	n := testing.AllocsPerRun(1000, func() {
		fr, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		el, err := p.parse(fr.raw)
		if err != nil {
			t.Fatal(err)
		}
		if st := newStanza(el, &jids); !st.FromOK {
			t.Fatal("no sender")
		}
	})
	if n > 64 {
		t.Errorf("%v allocations, at most 64 are held", n)
	}
}
