package component

import (
	"bytes"
	"slices"
)

// head collects the start tag of a top-level element while the framer passes through it, whether or not the element is
// kept: the name and the attributes that say from whom, to whom and what. It is what remains of a refused stanza.
type head struct {
	b      []byte
	attr   int  // where the current attribute starts in b, or -1 when it is not wanted
	active bool // between the first byte of the name and the end of the tag
	whole  bool // the tag has ended and b is usable
}

const (
	maxHead     = 32 << 10 // room for two JIDs and an id of 10 kB; an attribute beyond it is left out
	maxHeadName = 64
)

func (h *head) reset() { h.b, h.attr, h.active, h.whole = h.b[:0], -1, false, false }

func (h *head) start() {
	h.reset()
	h.active = true
	h.b = append(h.b, '<')
}

func (h *head) nameByte(c byte) {
	if !h.active {
		return
	}
	if len(h.b) > maxHead { // no stanza has such a name
		h.reset()
		return
	}
	h.b = append(h.b, c)
}

func (h *head) attrStart() {
	if h.active {
		h.attr = len(h.b)
		h.b = append(h.b, ' ')
	}
}

func (h *head) attrByte(c byte) {
	if h.attr < 0 {
		return
	}
	if h.b = append(h.b, c); len(h.b)-h.attr > maxHeadName {
		h.forget()
	}
}

var headAttrs = []string{"type", "id", "from", "to", "xml:lang", "xmlns"}

func (h *head) valueStart(quote byte) {
	if h.attr < 0 {
		return
	}
	name := h.b[h.attr+1:]
	if !slices.Contains(headAttrs, string(name)) && !bytes.HasPrefix(name, []byte("xmlns:")) {
		h.forget()
		return
	}
	h.b = append(h.b, '=', quote)
}

func (h *head) value(p []byte) {
	if h.attr < 0 {
		return
	}
	if len(h.b)+len(p) > maxHead {
		h.forget()
		return
	}
	h.b = append(h.b, p...)
}

func (h *head) valueEnd(quote byte) {
	if h.attr >= 0 {
		h.b = append(h.b, quote)
		h.attr = -1
	}
}

func (h *head) forget() { h.b, h.attr = h.b[:h.attr], -1 }

func (h *head) finish() {
	if h.active {
		h.b = append(h.b, "/>"...)
		h.active, h.whole = false, true
	}
}

// bytes returns an empty element, or nil.
func (h *head) bytes() []byte {
	if !h.whole {
		return nil
	}
	return h.b
}
