package component

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
)

// parser turns the bytes of one top-level element into a tree. It keeps one decoder, which has read a start tag with the
// stream header's namespace declarations and so believes itself inside the stream; an error throws that decoder away.
// Owned by the read goroutine.
type parser struct {
	preamble    []byte // the start tag that stands for the stream header
	maxDepth    int
	maxElements int

	src   bytes.Reader
	dec   *xml.Decoder
	stack []open
}

// open is an element whose end tag has not come yet.
type open struct {
	el   *Element
	text []byte // joined here, since a stanza may scatter its text between ten thousand children
}

var (
	errNotOneElement = errors.New("not exactly one element")
	errRestricted    = errors.New("comments and processing instructions are not allowed")
	errParserLimit   = errors.New("too many elements or levels")
)

// newParser takes the namespace declarations of the stream header (from startTag).
func newParser(decls []xml.Attr, o *Options) *parser {
	p := []byte("<s")
	for _, a := range decls {
		switch {
		case a.Name.Space == "xmlns":
			p = append(append(p, " xmlns:"...), a.Name.Local...)
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			p = append(p, " xmlns"...)
		default:
			continue
		}
		p = append(AppendAttr(append(p, "='"...), a.Value), '\'')
	}
	return &parser{preamble: append(p, '>'), maxDepth: o.MaxDepth, maxElements: o.MaxElements}
}

// startTag reads one start tag, with its namespace declarations.
func startTag(b []byte) (xml.StartElement, error) {
	tok, err := xml.NewDecoder(bytes.NewReader(b)).Token()
	if err != nil {
		return xml.StartElement{}, err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return xml.StartElement{}, errNotOneElement
	}
	return start, nil
}

// parse reads b, which must be one element and nothing else. It keeps nothing of b.
func (p *parser) parse(b []byte) (*Element, error) {
	if p.dec == nil {
		p.src.Reset(p.preamble)
		p.dec = xml.NewDecoder(&p.src)
		if _, err := p.dec.Token(); err != nil {
			return nil, fmt.Errorf("stream header: %w", err)
		}
	}
	p.src.Reset(b)
	el, err := p.element()
	if err == nil && p.src.Len() > 0 {
		err = errNotOneElement
	}
	if err != nil {
		p.dec = nil
		return nil, err
	}
	return el, nil
}

func (p *parser) element() (*Element, error) {
	p.stack = p.stack[:0]
	elements := 0
	for {
		tok, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if elements++; elements > p.maxElements || len(p.stack) >= p.maxDepth {
				return nil, errParserLimit
			}
			p.push(&Element{Name: t.Name, Attrs: withoutDeclarations(t.Attr)})
		case xml.EndElement:
			if len(p.stack) == 0 {
				return nil, errNotOneElement
			}
			if el := p.pop(); len(p.stack) == 0 {
				return el, nil
			}
		case xml.CharData:
			if len(p.stack) == 0 {
				return nil, errNotOneElement
			}
			top := &p.stack[len(p.stack)-1]
			top.text = append(top.text, t...)
		default:
			return nil, errRestricted
		}
	}
}

func (p *parser) push(el *Element) {
	if n := len(p.stack); n > 0 {
		parent := p.stack[n-1].el
		parent.Children = append(parent.Children, el)
	}
	if n := len(p.stack); n < cap(p.stack) {
		p.stack = p.stack[:n+1] // keeps the text buffer of the element that was here before
		p.stack[n] = open{el, p.stack[n].text[:0]}
		return
	}
	p.stack = append(p.stack, open{el: el})
}

func (p *parser) pop() *Element {
	top := &p.stack[len(p.stack)-1]
	el := top.el
	el.Text = string(top.text)
	top.el = nil
	if cap(top.text) > 16<<10 {
		top.text = nil
	}
	p.stack = p.stack[:len(p.stack)-1]
	return el
}

// withoutDeclarations removes xmlns and xmlns:* in place; kept, they would be junk in whatever is made from the tree.
func withoutDeclarations(attrs []xml.Attr) []xml.Attr {
	kept := attrs[:0]
	for _, a := range attrs {
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			kept = append(kept, a)
		}
	}
	return kept
}
