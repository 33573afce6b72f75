package auth_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

// plusses is a secret whose text is full of what URL decoding and alphabets quarrel about; with tail bytes more.
func plusses(tail int) []byte { return bytes.Repeat([]byte{0xfb, 0xef, 0xff}, 7+(tail+2)/3)[:21+tail] }

func TestParseSecret_reads_every_spelling(t *testing.T) {
	std, url := base64.StdEncoding.EncodeToString, base64.URLEncoding.EncodeToString
	bare := func(s string) string { return strings.TrimRight(s, "=") }
	for tail := range 3 {
		secret := plusses(tail)
		for name, text := range map[string]string{
			"standard":               std(secret),
			"standard, no padding":   bare(std(secret)),
			"URL":                    url(secret),
			"URL, no padding":        bare(url(secret)),
			"a line break after it":  std(secret) + "\r\n",
			"spaces around it":       "  " + url(secret) + "  ",
			"a tab before it":        "\t" + std(secret),
			"broken into lines":      std(secret)[:20] + "\n" + std(secret)[20:],
			"as in GRIP_URL":         "base64:" + std(secret),
			"as in GRIP_URL, spaces": " base64:" + std(secret) + "\n",
			"'+' lost inside":        std(secret)[:2] + strings.ReplaceAll(std(secret)[2:], "+", " "),
		} {
			t.Run(fmt.Sprintf("%d bytes %s", len(secret), name), func(t *testing.T) {
				got, err := auth.ParseSecret(text)
				if err != nil || !bytes.Equal(got, secret) {
					t.Errorf("%q: %x, %v; want %x", text, got, err, secret)
				}
			})
		}
	}
}

func TestParseSecret_a_lost_plus_at_an_end(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       string // in the standard alphabet; "" for an error
	}{
		{"at the beginning, padding says so", " BCDEFGHIJKLMNOPQRSTUVWX9w==", "+BCDEFGHIJKLMNOPQRSTUVWX9w=="},
		{"two, padding says so", "  CDEFGHIJKLMNOPQRSTUVWX9w==\n", "++CDEFGHIJKLMNOPQRSTUVWX9w=="},
		{"white space, padding says so", " ABCDEFGHIJKLMNOPQRSTUVWX9w==", "ABCDEFGHIJKLMNOPQRSTUVWX9w=="},
		{"white space after padding", "ABCDEFGHIJKLMNOPQRSTUVWX9w==  ", "ABCDEFGHIJKLMNOPQRSTUVWX9w=="},
		{"white space: it is complete without", " ABCDEFGHIJKLMNOPQRSTUVWX", "ABCDEFGHIJKLMNOPQRSTUVWX"},
		{"white space: it would not be complete with it", " ABCDEFGHIJKLMNOPQRSTUV", "ABCDEFGHIJKLMNOPQRSTUV=="},
		{"nobody can tell", " BCDEFGHIJKLMNOPQRSTUVWX", ""},
		{"nobody can tell either", "ABCDEFGHIJKLMNOPQRSTUVW ", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := auth.ParseSecret(row.text)
			if row.want == "" {
				wantError(t, err, broker.Invalid, "the key begins or ends with a space, which may be white space or "+
					"a '+' lost in URL decoding: take it off, or write the '+'")
				return
			}
			want, bad := base64.StdEncoding.DecodeString(row.want)
			if bad != nil {
				t.Fatal(bad)
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x, %v; want %x", got, err, want)
			}
		})
	}
}

func TestParseSecret_refuses(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", "the key is empty"},
		{" \n", "the key is empty"},
		{"base64:", "the key is empty"},
		{"====", "the key is empty"},
		{"Y2hhbmdlbWU=", "the key has 8 bytes; it needs 16 or more"},
		{"MDEyMzQ1Njc4OWFiY2Rl", "the key has 15 bytes; it needs 16 or more"},
		{"MDEyMzQ1Njc4OWFiY2RlZ", "the key is not base64: no key has 21 characters and 0 times '='; is a part of it missing?"},
		{"MDEyMzQ1Njc4OWFiY2RlZg=", "the key is not base64: no key has 22 characters and 1 times '='; is a part of it missing?"},
		{"MDEyMzQ1Njc4OWFiY2Rl====", "the key is not base64: no key has 20 characters and 4 times '='; is a part of it missing?"},
		{"MDEyMzQ1Njc4OWFiY2RlZg%3D%3D", "the key is not base64: character 23 is '%'; is it still URL-encoded?"},
		{"MDEyMzQ1=jc4OWFiY2RlZg==", "the key is not base64: character 9 does not belong"},
		{"correct horse battery staple!", "the key is not base64: character 29 does not belong"},
		{"MDEyMzQ1Njc4OWFi+Y2RlZg-", "the key is not base64: character 24 is of the other alphabet ('+' and '/', or '-' and '_', but not both)"},
		{"MDEyMzQ1Njc4OWFi\u00a0Y2RlZg", "the key is not base64: character 17 does not belong"},
	} {
		_, err := auth.ParseSecret(row.text)
		wantError(t, err, broker.Invalid, row.want)
	}
}

func TestParseSecret_keeps_16_bytes(t *testing.T) {
	if got, err := auth.ParseSecret("MDEyMzQ1Njc4OWFiY2RlZg"); err != nil || string(got) != "0123456789abcdef" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestGenerateSecret_is_read_alike_by_every_decoder(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		text := auth.GenerateSecret()
		if seen[text] || len(text) != 44 {
			t.Fatalf("%q is no new key", text)
		}
		seen[text] = true
		got, err := auth.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			if want, err := enc.DecodeString(text); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestKey_shows_no_secret(t *testing.T) {
	k := auth.Key{ID: "main", Secret: mainSecret}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, k); got != `key "main" (HS256)` {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	for _, s := range []string{"MDEyMzQ1Njc4OWFiY2RlZg==", " BCDEFGHIJKLMNOPQRSTUVWX9w==", "base64:-_-_-_-_-_-_-_-_-_-_-_-_", "a+b/c d", "=", "%3D"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		secret, err := auth.ParseSecret(s)
		if err != nil {
			if broker.KindOf(err) != broker.Invalid || len(s) > 20 && strings.Contains(err.Error(), s) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if len(secret) < auth.MinSecret {
			t.Errorf("%q: a key of %d bytes", s, len(secret))
		}
		// Whatever was read can be written in any of the four forms and means the same.
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			if again, err := auth.ParseSecret(enc.EncodeToString(secret)); err != nil || !bytes.Equal(again, secret) {
				t.Errorf("%q: %x, then %x, %v", s, secret, again, err)
			}
		}
	})
}
