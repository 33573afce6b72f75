package component

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

var smallLimits = limits{stanza: 300, depth: 4, elements: 6, attrs: 7, attr: 60}

// framed is a frame with bytes of its own.
type framed struct {
	kind      frameKind
	raw, head string
	why       Reason
}

// frames reads everything and checks what must hold at any time.
func frames(t testing.TB, r io.Reader, lim limits) (out []framed, err error) {
	f := newFramer(r, lim)
	for {
		fr, err := f.next()
		if len(f.buf) > lim.stanza || cap(f.buf) > 2*lim.stanza+1024 || len(f.head.b) > maxHead+2*maxHeadName || len(f.in) != readSize {
			t.Fatalf("buffers %d bytes of element and %d of head, above the limits", len(f.buf), len(f.head.b))
		}
		if err != nil {
			return out, err
		}
		if fr.why == NotRefused && fr.kind == frameElement && (len(fr.raw) == 0 || fr.raw[0] != '<' || fr.raw[len(fr.raw)-1] != '>') {
			t.Fatalf("frame %q is no element", fr.raw)
		}
		if fr.why != NotRefused && fr.raw != nil {
			t.Fatalf("refused frame keeps %q", fr.raw)
		}
		out = append(out, framed{fr.kind, string(fr.raw), string(fr.head), fr.why})
	}
}

func TestFramer_cuts_at_the_end_of_each_top_level_element(t *testing.T) {
	in := " <?xml version='1.0'?>\n<s:s id='1'> <a/>\n<b x='>'>t<b>u</b></b><c></c>" +
		"<d><![CDATA[</d>]]></d><e f='\"/>' g=\"'\"/>\t<!-- <no/> --><f>" + strings.Repeat("x", 300) + "</f><g from='me' k='v' id=\"7\"><!----></g></s:s>rest"
	got, err := frames(t, strings.NewReader(in), smallLimits)
	want := []framed{
		{frameHeader, "<s:s id='1'>", "", NotRefused},
		{frameElement, "<a/>", "<a/>", NotRefused},
		{frameElement, "<b x='>'>t<b>u</b></b>", "<b/>", NotRefused},
		{frameElement, "<c></c>", "<c/>", NotRefused},
		{frameElement, "<d><![CDATA[</d>]]></d>", "<d/>", NotRefused},
		{frameElement, "<e f='\"/>' g=\"'\"/>", "<e/>", NotRefused},
		{frameElement, "", "<f/>", StanzaTooBig},
		{frameElement, "", "<g from='me' id=\"7\"/>", RestrictedXML},
		{frameEnd, "</s:s>", "", NotRefused},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d frames: %+v, %v", len(got), got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("frame %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if !errors.Is(err, ErrFraming) {
		t.Errorf("text after the end: %v", err)
	}
}

func TestFramer_limits_are_exact(t *testing.T) {
	lim := limits{stanza: 100, depth: 3, elements: 4, attrs: 2, attr: 10}
	for _, tt := range []struct {
		in   string
		want Reason
	}{
		{"<a>" + strings.Repeat("x", 93) + "</a>", NotRefused},
		{"<a>" + strings.Repeat("x", 94) + "</a>", StanzaTooBig},
		{"<a><b><c/></b></a>", NotRefused},
		{"<a><b><c><d/></c></b></a>", TooDeep},
		{"<a><b/><b/><b/></a>", NotRefused},
		{"<a><b/><b/><b/><b/></a>", TooManyElements},
		{"<a b='' c=''/>", NotRefused},
		{"<a b='' c='' d=''/>", TooManyAttributes},
		{"<a b='123456789'/>", NotRefused},
		{"<a b='1234567890'/>", AttributeTooBig},
		{"<a><!--" + strings.Repeat("x", 1000) + "--></a>", RestrictedXML},
		{"<a>" + strings.Repeat("x", 98) + "<!----></a>", StanzaTooBig},
	} {
		for name, r := range map[string]io.Reader{
			"whole":        strings.NewReader("<s>" + tt.in + "<next/>"),
			"byte by byte": iotest.OneByteReader(strings.NewReader("<s>" + tt.in + "<next/>")),
		} {
			got, err := frames(t, r, lim)
			if err != io.EOF || len(got) != 3 || got[1].why != tt.want || got[2].raw != "<next/>" {
				t.Errorf("%s %s: %+v, %v", name, tt.in, got, err)
			}
		}
	}
}

func TestFramer_gives_back_a_big_buffer(t *testing.T) {
	f := newFramer(strings.NewReader("<s><a>"+strings.Repeat("x", 1<<19)+"</a><b/>"), limits{1 << 20, 9, 9, 9, 99})
	for range 3 {
		if _, err := f.next(); err != nil {
			t.Fatal(err)
		}
	}
	if cap(f.buf) > retainSize {
		t.Errorf("keeps %d bytes", cap(f.buf))
	}
}

func FuzzFramer(f *testing.F) {
	for _, tt := range hostile {
		if len(tt.stanza) < 1000 {
			f.Add([]byte(testHeader+tt.stanza+"<presence/></stream:stream>"), uint64(1))
		}
	}
	f.Add([]byte("<s><a b='"+strings.Repeat("x", 400)+"' to='me'>"), uint64(2))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole, wholeErr := frames(t, bytes.NewReader(in), smallLimits)
		for _, r := range []io.Reader{iotest.OneByteReader(bytes.NewReader(in)), &ragged{in, rand.New(rand.NewPCG(seed, 0))}} {
			parts, err := frames(t, r, smallLimits)
			if len(parts) != len(whole) || (err == io.EOF) != (wholeErr == io.EOF) || err.Error() != wholeErr.Error() {
				t.Fatalf("in pieces: %+v, %v\nwhole: %+v, %v", parts, err, whole, wholeErr)
			}
			for i := range whole {
				if parts[i] != whole[i] {
					t.Fatalf("frame %d in pieces: %+v\nwhole: %+v", i, parts[i], whole[i])
				}
			}
		}
	})
}

// ragged reads in random pieces.
type ragged struct {
	b []byte
	r *rand.Rand
}

func (g *ragged) Read(p []byte) (int, error) {
	if len(g.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.b[:1+g.r.IntN(len(g.b))])
	g.b = g.b[n:]
	return n, nil
}
