package xmpp

import (
	"encoding/xml"
	"strings"
	"testing"

	"waft/xmpp/component"
)

func element(local, attr, value string, children ...*component.Element) *component.Element {
	return &component.Element{
		Name: xml.Name{Space: nsForm, Local: local}, Children: children,
		Attrs: []xml.Attr{{Name: xml.Name{Local: attr}, Value: value}},
	}
}

func field(name, value string) *component.Element {
	return element("field", "var", "pubsub#"+name, &component.Element{Name: xml.Name{Space: nsForm, Local: "value"}, Text: value})
}

// formsOf makes the element that a form stands in.
func formsOf(tb testing.TB, inside string) *component.Element {
	return parsed(tb, iq(bob, "set", "<configure xmlns='http://jabber.org/protocol/pubsub#owner'>"+inside+"</configure>")).Payload()
}

func TestForm_too_many_fields(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("<field var='f" + strings.Repeat("x", i) + "'><value>1</value></field>")
		}
		return "<x xmlns='jabber:x:data' type='submit'>" + b.String() + "</x>"
	}
	if f, err := readForm(formsOf(t, many(maxFields)), formNodeConfig, errBadSetting); err != nil || len(f.fields) != maxFields {
		t.Errorf("%d fields: %v", len(f.fields), err)
	}
	if _, err := readForm(formsOf(t, many(maxFields+1)), formNodeConfig, errBadSetting); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("one more: %v", err)
	}
}

// FuzzForm submits whatever the fuzzer makes up: all of it is applied or nothing, and what a node then shows of its
// configuration can be submitted again and changes nothing.
func FuzzForm(f *testing.F) {
	for _, s := range [][2]string{
		{"max_items", "3"},
		{"title", "<&>"},
		{"access_model", "whitelist"},
		{"persist_items", "false"},
		{"item_expire", "99999999999999999999"},
		{"max_payload_size", "-1"},
		{"type", nsJSON},
		{"x", ""},
		{"creator", "a"},
	} {
		f.Add("submit", s[0], s[1], "description", "x")
	}
	o := &Options{MaxTitle: 256, MaxDescription: 2048, MaxNodeItems: 100, MaxPayload: 1000}
	shows := func(c config) string { return string(appendForm(nil, "submit", formNodeConfig, c.fields(o))) }
	f.Fuzz(func(t *testing.T, typ, name, value, name2, value2 string) {
		// As the link gives it: without what XML cannot carry.
		clean := func(s string) string { return strings.ToValidUTF8(s, "") }
		x := &component.Element{Children: []*component.Element{element("x", "type", clean(typ), field(clean(name), clean(value)), field(clean(name2), clean(value2)))}}
		form, err := readForm(x, formNodeConfig, errBadSetting)
		if err != nil || form.cancel {
			return
		}
		conf := defaultConfig()
		before := shows(conf)
		if err := conf.submit(form, o); err != nil {
			if shows(conf) != before {
				t.Errorf("%v, and the configuration has changed to %s", err, shows(conf))
			}
			return
		}
		after := shows(conf)
		var again []*component.Element
		for _, f := range conf.fields(o) {
			again = append(again, field(strings.TrimPrefix(f.name, "pubsub#"), f.values[0]))
		}
		form, err = readForm(&component.Element{Children: []*component.Element{element("x", "type", "submit", again...)}}, formNodeConfig, errBadSetting)
		if err != nil {
			t.Fatalf("its own form cannot be read: %v", err)
		}
		if err := conf.submit(form, o); err != nil || shows(conf) != after {
			t.Errorf("submitted again: %v\n%s\n%s", err, after, shows(conf))
		}
		if err := conf.meets(form, o); err != nil {
			t.Errorf("does not meet itself: %v", err)
		}
	})
}
