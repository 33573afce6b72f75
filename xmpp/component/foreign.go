package component

import (
	"bytes"
	"errors"
	"fmt"
)

// Parse reads one element that did not come over a link, within o's limits on what does. Zero limits let nothing pass. The
// error says what is wrong with it, for whoever wrote it.
func Parse(b []byte, o Options) (*Element, error) {
	f := newFramer(bytes.NewReader(b), limits{
		stanza: o.MaxStanza, depth: o.MaxDepth, elements: o.MaxElements, attrs: o.MaxAttributes, attr: o.MaxAttribute,
	})
	f.header = true
	fr, err := f.next()
	switch {
	case err != nil || fr.kind != frameElement:
		return nil, errNotOneElement
	case fr.why != NotRefused:
		return nil, errors.New(fr.why.String())
	case len(fr.raw) != len(b):
		return nil, errNotOneElement
	}
	el, err := newParser(nil, &o).parse(fr.raw)
	if err != nil {
		return nil, fmt.Errorf("it is no good XML: %w", err)
	}
	if err := checkAttrs(el); err != nil {
		return nil, errors.New("an element has an attribute twice")
	}
	return el, nil
}
