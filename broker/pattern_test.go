package broker_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waft/broker"
)

func TestParseChannel(t *testing.T) {
	long := "/" + strings.Repeat("a", broker.MaxChannelBytes-1)
	deep := strings.Repeat("/a", broker.MaxChannelSegments)
	for _, ok := range []string{"/a", "/a/b", "/-_!~()$@", "/0/Z", long, deep} {
		if c, err := broker.ParseChannel(ok); err != nil || string(c) != ok {
			t.Errorf("ParseChannel(%q) = %q, %v", ok, c, err)
		}
	}
	for bad, says := range map[string]string{
		"":                       "missing",
		"a":                      "does not begin with a slash",
		"/":                      "ends with a slash",
		"/a/":                    "ends with a slash",
		"//a":                    "empty segment at byte 1",
		"/a//b":                  "empty segment at byte 3",
		"/a b":                   `" " at byte 2`,
		"/a.b":                   `"." at byte 2`,
		"/ä":                     `'ä' at byte 1`,
		"/a%20":                  `"%" at byte 2`,
		"/a\n/b":                 `"\n" at byte 2`,
		"/a/b\n":                 `"\n" at byte 4`,
		"/a/*":                   `"*" at byte 3`,
		"/a/**":                  `"*" at byte 3`,
		"/a\xff":                 `"\xff" at byte 2`,
		"/a\x00":                 `"\x00" at byte 2`,
		long + "a":               "512",
		deep + "/a":              "33 segments, more than the limit of 32",
		"/{x}":                   `"{" at byte 1`,
		"/a#x":                   `"#" at byte 2`,
		"/realm?token=x":         `"?" at byte 6`,
		strings.Repeat("x", 600): "600 bytes",
	} {
		_, err := broker.ParseChannel(bad)
		if broker.KindOf(err) != broker.Invalid || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseChannel(%q): %v; want it to say %q", bad, err, says)
		}
		if _, err := broker.ParsePattern(bad); err == nil && !strings.Contains(bad, "*") {
			t.Errorf("ParsePattern(%q) accepts it", bad)
		}
	}
}

func TestParseName_adds_the_slash(t *testing.T) {
	for in, want := range map[string]broker.Channel{"news": "/news", "/news": "/news", "a/b": "/a/b"} {
		if c, err := broker.ParseName(in); c != want || err != nil {
			t.Errorf("ParseName(%q) = %q, %v", in, c, err)
		}
	}
	for _, bad := range []string{"", "/", "//a", "a b"} {
		if c, err := broker.ParseName(bad); err == nil {
			t.Errorf("ParseName(%q) = %q", bad, c)
		}
	}
}

func TestParsePattern(t *testing.T) {
	atLimit := strings.Repeat("/a", broker.MaxChannelSegments-1)
	for _, ok := range []string{"/a", "/a/*", "/a/**", "/*", "/**", "/-_!~()$@/*", atLimit + "/*", atLimit + "/**"} {
		if p, err := broker.ParsePattern(ok); err != nil || string(p) != ok {
			t.Errorf("ParsePattern(%q) = %q, %v", ok, p, err)
		}
	}
	for _, bad := range []string{
		"", "/", "a", "*", "**", "/a/", "/a//b", "/a/*/b", "/a/**/b", "/a/*/**", "/a/**/*", "/*/*", "/a/b*", "/a/***", "/a*",
		"/a/ *", "/ä/*", atLimit + "/a/*", atLimit + "/a/**",
	} {
		if p, err := broker.ParsePattern(bad); err == nil || broker.KindOf(err) != broker.Invalid {
			t.Errorf("ParsePattern(%q) = %q, %v", bad, p, err)
		}
	}
}

func TestReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"/meta": true, "/meta/connect": true, "/meta/**": true, "/meta/*": true, "/service": true, "/service/x": true, "/service/**": true,
		"/metal": false, "/a/meta": false, "/services/x": false, "/*": false, "/**": false,
	} {
		if got := broker.Pattern(name).Reserved(); got != want {
			t.Errorf("Pattern(%q).Reserved() = %v", name, got)
		}
	}
}

func TestPattern_Covers(t *testing.T) {
	for _, c := range []struct {
		name string
		p, q broker.Pattern
		want bool
	}{
		{"double_star_covers_star", "/a/**", "/a/*", true},
		{"star_does_not_cover_double_star", "/a/*", "/a/**", false},
		{"star_does_not_cover_its_base", "/a/*", "/a", false},
		{"double_star_does_not_cover_its_base", "/a/**", "/a", false},
		{"everything_covers_a_channel", "/**", "/a/b", true},
		{"a_name_is_not_a_prefix", "/a/**", "/ab/c", false},
		{"deeper_star_in_double_star", "/a/**", "/a/b/*", true},
		{"root_star_covers_only_one_segment", "/*", "/a/b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.p.Covers(c.q); got != c.want {
				t.Errorf("%s covers %s: %v", c.p, c.q, got)
			}
		})
	}
}

// universe is every channel of up to four segments over two names: enough to tell any two patterns of up to three
// segments apart, so that brute force over it is an oracle.
var universe = func() (all []broker.Channel) {
	level := []string{""}
	for range 4 {
		var next []string
		for _, base := range level {
			next = append(next, base+"/a", base+"/b")
		}
		for _, c := range next {
			all = append(all, broker.Channel(c))
		}
		level = next
	}
	return all
}()

// matches is the definition, segment by segment.
func matches(p broker.Pattern, c broker.Channel) bool {
	want, have := strings.Split(string(p)[1:], "/"), strings.Split(string(c)[1:], "/")
	for i, w := range want {
		switch {
		case w == "**":
			return len(have) > i
		case i >= len(have) || w != "*" && w != have[i]:
			return false
		}
	}
	return len(have) == len(want)
}

var somePattern = rapid.Custom(func(t *rapid.T) broker.Pattern {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 2).Draw(t, "base")
	segments = append(segments, rapid.SampledFrom([]string{"a", "b", "*", "**"}).Draw(t, "last"))
	return broker.Pattern("/" + strings.Join(segments, "/"))
})

func TestPattern_agrees_with_brute_force(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := somePattern.Draw(t, "p"), somePattern.Draw(t, "q")
		covers, overlaps := true, false
		for _, c := range universe {
			mp, mq := matches(p, c), matches(q, c)
			if got := p.Matches(c); got != mp {
				t.Fatalf("%s matches %s: %v", p, c, got)
			}
			covers = covers && (mp || !mq)
			overlaps = overlaps || mp && mq
		}
		if got := p.Covers(q); got != covers {
			t.Fatalf("%s covers %s: got %v, brute force says %v", p, q, got, covers)
		}
		if got := p.Overlaps(q); got != overlaps {
			t.Fatalf("%s overlaps %s: got %v, brute force says %v", p, q, got, overlaps)
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"/a", "/a/*", "/a/**", "//", "/*/**", "a", "/ä", "/meta/**"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := broker.ParsePattern(s)
		if err != nil {
			if broker.KindOf(err) != broker.Invalid {
				t.Fatalf("%q: error of kind %v", s, broker.KindOf(err))
			}
			return
		}
		if string(p) != s || !p.Covers(p) || !p.Overlaps(p) || !broker.Pattern("/**").Covers(p) {
			t.Fatalf("%q parsed as %q", s, p)
		}
		c, isChannel := p.Channel()
		if _, err := broker.ParseChannel(s); (err == nil) != isChannel {
			t.Fatalf("%q is a channel for Channel: %v, for ParseChannel: %v", s, isChannel, err)
		}
		if isChannel && !matches(p, c) {
			t.Fatalf("%q does not match itself", s)
		}
	})
}

func TestPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := broker.Position{Epoch: rapid.Uint64().Draw(t, "epoch"), Offset: rapid.Uint64().Draw(t, "offset")}
		if got, err := broker.ParsePosition(p.String()); err != nil || got != p {
			t.Fatalf("%v reads back as %v, %v", p, got, err)
		}
	})
	for _, bad := range []string{"x", "-", "1-", "-1", "1-1-1", "1-01", "A-1", "+1-1", "1--1", "1-18446744073709551616", "0-0"} {
		if p, err := broker.ParsePosition(bad); err == nil {
			t.Errorf("ParsePosition(%q) = %v", bad, p)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("1z141z4-42")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := broker.ParsePosition(s); err == nil && p.String() != s {
			t.Fatalf("%q parsed as %q", s, p)
		}
	})
}
