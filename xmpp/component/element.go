package component

import "encoding/xml"

// Element is one XML element of a stanza. Names carry the namespace itself, never a prefix; declarations of namespaces
// are removed. A tree is made fresh for every stanza and is never written to again, so it may be kept and shared.
type Element struct {
	Name     xml.Name
	Attrs    []xml.Attr
	Children []*Element
	Text     string // the character data directly inside, joined; not that of the children
}

// Child returns the first child of that name, or nil. It may be called on nil, so that a path can be walked without
// checking each step.
func (e *Element) Child(space, local string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Name.Local == local && c.Name.Space == space {
			return c
		}
	}
	return nil
}

// Attr returns the value of the attribute without namespace of that name, or "". It may be called on nil.
func (e *Element) Attr(local string) string { return e.attr("", local) }

func (e *Element) attr(space, local string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.Attrs {
		if a.Name.Local == local && a.Name.Space == space {
			return a.Value
		}
	}
	return ""
}

// HasAttr tells an empty attribute from an absent one.
func (e *Element) HasAttr(local string) bool {
	if e == nil {
		return false
	}
	for _, a := range e.Attrs {
		if a.Name.Local == local && a.Name.Space == "" {
			return true
		}
	}
	return false
}
