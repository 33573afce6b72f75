package component

import "unicode/utf8"

// AppendText appends s as XML character data: &, < and > escaped, and CR too, which a parser would otherwise turn into
// LF. What XML 1.0 cannot carry (most controls, U+FFFE, U+FFFF, invalid UTF-8) becomes U+FFFD; a caller that must
// keep such characters (JSON) escapes them in its own syntax first.
func AppendText[S ~string | ~[]byte](dst []byte, s S) []byte { return appendEscaped(dst, s, false) }

// AppendAttr appends s as the value of an attribute in either kind of quotes. Besides what AppendText does, it escapes
// quotes, and tab and LF, which a parser would turn into spaces.
func AppendAttr[S ~string | ~[]byte](dst []byte, s S) []byte { return appendEscaped(dst, s, true) }

const replacement = "\uFFFD"

func appendEscaped[S ~string | ~[]byte](dst []byte, s S, attr bool) []byte {
	start := 0 // of the run that needs no escape
	for i := 0; i < len(s); {
		width, esc := 1, ""
		switch c := s[i]; {
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '\r':
			esc = "&#13;"
		case attr && c == '"':
			esc = "&quot;"
		case attr && c == '\'':
			esc = "&apos;"
		case attr && c == '\n':
			esc = "&#10;"
		case attr && c == '\t':
			esc = "&#9;"
		case c == '\n' || c == '\t':
		case c < 0x20:
			esc = replacement
		case c >= utf8.RuneSelf:
			// XML 1.0 §2.2: of what UTF-8 can encode, only U+FFFE and U+FFFF are not characters.
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			width = n
			if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
				esc = replacement
			}
		}
		if esc != "" {
			dst = append(dst, s[start:i]...)
			dst = append(dst, esc...)
			start = i + width
		}
		i += width
	}
	return append(dst, s[start:]...)
}
