package xmpp

import (
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

const nsForm = "jabber:x:data" // XEP-0004

// The FORM_TYPE of a form says what its fields mean (XEP-0068).
const (
	formNodeConfig     = pubsub.NS + "#node_config"
	formPublishOptions = pubsub.NS + "#publish-options"
	formMetaData       = pubsub.NS + "#meta-data"
)

// maxFields bounds the fields of one form. The link bounds the elements of the stanza, and with them the values.
const maxFields = 256

// form is a data form as somebody submitted it. Types of fields are not looked at: many clients leave them out, and
// the field's name says what it must be.
type form struct {
	cancel bool
	fields []formField // in their order, without FORM_TYPE and without those that have no value
}

// formField is one field of a submitted form.
type formField struct {
	name   string
	values []string // at least one
}

// readForm reads the form in an element, which may have none: that is an empty form. what is the FORM_TYPE it must be
// of, if it says. The error is bad with a text.
func readForm(in *component.Element, what string, bad *stanzaError) (form, error) {
	var f form
	x := in.Child(nsForm, "x")
	if x == nil {
		if in != nil && len(in.Children) > 0 {
			return f, bad.saying("what was submitted is no data form of XEP-0004")
		}
		return f, nil
	}
	switch x.Attr("type") {
	case "cancel":
		return form{cancel: true}, nil
	case "submit", "":
	default:
		return f, bad.saying("a form is submitted with the type submit or cancel")
	}
	typ, seen := "", make(map[string]bool)
	for _, c := range x.Children {
		if c.Name.Space != nsForm || c.Name.Local != "field" {
			continue // a title, instructions: XEP-0004 §3.1
		}
		field := formField{name: c.Attr("var")}
		for _, v := range c.Children {
			if v.Name.Space == nsForm && v.Name.Local == "value" {
				field.values = append(field.values, v.Text)
			}
		}
		switch {
		case field.name == "":
			return f, bad.saying("a field of the form has no name")
		case seen[field.name]:
			return f, bad.saying("the form has a field twice: " + broker.Quote(field.name))
		case len(seen) >= maxFields:
			return f, bad.saying("the form has too many fields")
		}
		seen[field.name] = true
		switch {
		case len(field.values) == 0:
		case field.name == "FORM_TYPE":
			typ = field.values[0]
		default:
			f.fields = append(f.fields, field)
		}
	}
	if typ != "" && typ != what && len(f.fields) > 0 { // an empty form means nothing in any language
		return form{}, bad.saying("the form is of the type " + broker.Quote(typ) + "; it must be " + what)
	}
	return f, nil
}

// fieldForm is a field as it is shown: in a form to fill in, or as a result.
type fieldForm struct {
	name, typ, label string
	values           []string
	options          []string // of a list-single
	required         bool
}

// appendForm appends a form of the type "form" or "result". XEP-0004 §3.3: only a form to fill in has options and needs types.
func appendForm(b []byte, typ, what string, fields []fieldForm) []byte {
	b = append(attr(append(b, "<x xmlns='"+nsForm+"'"...), "type", typ), "><field var='FORM_TYPE' type='hidden'><value>"...)
	b = append(append(b, what...), "</value></field>"...)
	return append(appendFields(b, typ, fields), "</x>"...)
}

func appendFields(b []byte, typ string, fields []fieldForm) []byte {
	for _, f := range fields {
		b = attr(attr(append(b, "<field"...), "var", f.name), "type", f.typ)
		if f.label != "" {
			b = attr(b, "label", f.label)
		}
		b = append(b, '>')
		if f.required && typ == "form" {
			b = append(b, "<required/>"...)
		}
		for _, v := range f.values {
			b = append(component.AppendText(append(b, "<value>"...), v), "</value>"...)
		}
		if typ == "form" {
			for _, o := range f.options {
				b = append(component.AppendText(append(b, "<option><value>"...), o), "</value></option>"...)
			}
		}
		b = append(b, "</field>"...)
	}
	return b
}
