package component

import (
	"bytes"
	"fmt"
)

// state says where in the markup the framer is.
type state uint8

const (
	inText    state = iota
	inLess          // after '<'
	inName          // of a start tag
	inTag           // between attributes
	inAttr          // in an attribute's name
	inEquals        // after the name, before '='
	inQuote         // after '=', before the quote
	inValue         // in an attribute's value
	inSlash         // after '/' in a start tag
	inEnd           // in an end tag
	inBang          // after "<!"
	inOpener        // in the rest of "<!--" or "<![CDATA["
	inSection       // in a comment, PI or CDATA section
)

// step lexes at least one byte of in[pos:end].
func (f *framer) step() (kind frameKind, done bool, err error) {
	rest := f.in[f.pos:f.end]
	c := rest[0]
	f.pos++
	switch f.state {
	case inText:
		switch {
		case c == '<':
			if f.depth == 0 {
				f.mark = f.pos - 1
			}
			f.state = inLess
		case f.depth > 0:
			f.skipTo(rest, '<')
		case isSpace(c): // whitespace keepalive, RFC 6120 §4.6.1
			f.mark = f.pos
		default:
			return 0, false, f.broken("text between stanzas")
		}
	case inLess:
		return f.less(c)
	case inName:
		switch {
		case isSpace(c):
			f.state = inTag
		case c == '/':
			f.state = inSlash
		case c == '>':
			return f.tagEnd(1)
		case isDelimiter(c):
			return 0, false, f.broken("bad element name")
		default:
			f.head.nameByte(c)
		}
	case inTag:
		switch {
		case isSpace(c):
		case c == '/':
			f.state = inSlash
		case c == '>':
			return f.tagEnd(1)
		case isDelimiter(c):
			return 0, false, f.broken("bad attribute")
		default:
			f.state, f.attrSize = inAttr, 0
			if f.attrs++; f.attrs > f.lim.attrs {
				f.refuse(TooManyAttributes)
			}
			f.head.attrStart()
			f.attrByte(c)
		}
	case inAttr:
		switch {
		case c == '=':
			f.state = inQuote
		case isSpace(c):
			f.state = inEquals
		case isDelimiter(c) || c == '/':
			return 0, false, f.broken("attribute without value")
		default:
			f.attrByte(c)
		}
	case inEquals:
		switch {
		case c == '=':
			f.state = inQuote
		case !isSpace(c):
			return 0, false, f.broken("attribute without value")
		}
	case inQuote:
		switch {
		case c == '"' || c == '\'':
			f.state, f.quote = inValue, c
			f.head.valueStart(c)
		case !isSpace(c):
			return 0, false, f.broken("attribute value without quotes")
		}
	case inValue:
		if c == f.quote {
			f.state = inTag
			f.head.valueEnd(c)
			break
		}
		if f.why == NotRefused { // stop at the byte that breaks the limit, so that chunks do not matter
			rest = rest[:min(len(rest), f.lim.attr-f.attrSize+1)]
		}
		n := f.skipTo(rest, f.quote)
		f.attrGrow(n)
		f.head.value(rest[:n])
	case inSlash:
		if c != '>' {
			return 0, false, f.broken("slash in a tag")
		}
		return f.tagEnd(0)
	case inEnd:
		switch {
		case c == '>':
			return f.endTag()
		case c == '<':
			return 0, false, f.broken("bad end tag")
		}
	case inBang:
		return 0, false, f.bang(c)
	case inOpener:
		if c != f.opener[f.run] {
			return 0, false, f.broken("neither comment nor CDATA")
		}
		if f.run++; f.run == len(f.opener) {
			f.section(f.quote, 2)
		}
	case inSection:
		switch {
		case c == f.quote:
			f.run = min(f.run+1, f.need)
		case c == '>' && f.run == f.need:
			f.state = inText
			if f.depth == 0 { // nothing of it is kept
				f.reset()
			}
		default:
			f.run = 0
		}
	}
	return 0, false, nil
}

// less decides what a '<' begins.
func (f *framer) less(c byte) (frameKind, bool, error) {
	switch {
	case c == '/' && f.header:
		f.state = inEnd
	case c == '?':
		f.section('?', 1)
	case c == '!':
		f.state = inBang
	case isSpace(c) || isDelimiter(c) || c == '/':
		return 0, false, f.broken("bad element name")
	default:
		f.state, f.attrs = inName, 0
		if f.depth == 0 {
			f.head.start()
		}
		f.head.nameByte(c)
	}
	return 0, false, nil
}

// bang decides what "<!" begins. A document type is neither: XML allows it before the header only, RFC 6120 nowhere.
func (f *framer) bang(c byte) error {
	switch {
	case c == '-':
		f.opener = "-"
	case c == '[' && f.depth > 0:
		f.opener = "CDATA["
	default:
		return f.broken("document type or CDATA outside a stanza")
	}
	f.state, f.run, f.quote = inOpener, 0, c
	if c == '[' {
		f.quote = ']'
	}
	return nil
}

// section enters a part whose content is not looked at: <?…?>, <!--…--> or <![CDATA[…]]>.
func (f *framer) section(closer byte, need int) {
	f.state, f.quote, f.need, f.run = inSection, closer, need, 0
	if f.depth > 0 && closer != ']' {
		f.refuse(RestrictedXML)
	}
}

func (f *framer) tagEnd(opened int) (frameKind, bool, error) {
	f.state = inText
	if !f.header {
		if f.flush(); f.why != NotRefused || opened == 0 {
			return 0, false, f.broken("unusable stream header")
		}
		f.header = true
		return frameHeader, true, nil
	}
	f.head.finish()
	if f.elements++; f.elements > f.lim.elements {
		f.refuse(TooManyElements)
	}
	if f.depth >= f.lim.depth {
		f.refuse(TooDeep)
	}
	f.depth += opened
	return frameElement, f.depth == 0, nil
}

func (f *framer) endTag() (frameKind, bool, error) {
	f.state = inText
	if f.depth == 0 {
		return frameEnd, true, nil
	}
	f.depth--
	return frameElement, f.depth == 0, nil
}

func (f *framer) attrByte(c byte) {
	f.attrGrow(1)
	f.head.attrByte(c)
}

func (f *framer) attrGrow(n int) {
	if f.attrSize += n; f.attrSize > f.lim.attr {
		f.refuse(AttributeTooBig)
	}
}

// skipTo consumes rest up to the next c and returns how much that is; step has counted one byte of it already.
func (f *framer) skipTo(rest []byte, c byte) int {
	n := bytes.IndexByte(rest, c)
	if n < 0 {
		n = len(rest)
	}
	f.pos += n - 1
	return n
}

func (f *framer) broken(what string) error { return fmt.Errorf("%w: %s", ErrFraming, what) }

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// isDelimiter reports what can be in no name. '/' and '>' are left to the caller where they may follow one.
func isDelimiter(c byte) bool {
	return c == '<' || c == '>' || c == '=' || c == '"' || c == '\'' || c == '&'
}
