package xmpp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waft/broker"
	"waft/xmpp/component"
)

// appendCommand appends the start of what a command answers.
func (c *call) appendCommand(run *run, status string) {
	b := append(c.out, "<command xmlns='"+nsCommands+"'"...)
	b = attr(attr(attr(b, "node", run.cmd.node()), "sessionid", run.id), "status", status)
	c.out = append(b, '>')
}

// show answers with the form of the run's stage.
func (s *Service) show(ctx context.Context, c *call, run *run) error {
	instructions := ""
	if run.cmd.look != nil {
		c.in = run.in
		var err error
		if instructions, err = run.cmd.look(s, ctx, c, run.stage); err != nil {
			e := s.toStanzaError(err)
			return cmp.Or(e.ofCommand(), errBadPayload.saying(e.text))
		}
	}
	c.appendCommand(run, "executing")
	allowed := run.actions()
	b := append(append(append(c.out, "<actions execute='"...), allowed[0]...), "'>"...)
	for _, act := range []action{actPrev, actNext, actComplete} {
		if slices.Contains(allowed, act) {
			b = append(append(append(b, '<'), act...), "/>"...)
		}
	}
	b = append(b, "</actions><x xmlns='"+nsForm+"' type='form'><title>"...)
	b = append(component.AppendText(b, run.cmd.title), "</title>"...)
	if instructions != "" {
		b = append(component.AppendText(append(b, "<instructions>"...), instructions), "</instructions>"...)
	}
	fields := []fieldForm{{name: "FORM_TYPE", typ: "hidden", values: []string{run.cmd.formType()}}}
	for _, p := range run.cmd.stages[run.stage] {
		f := fieldForm{name: p.name, typ: cmp.Or(p.typ, "text-single"), label: p.label, required: p.required, values: run.in[p.name]}
		if f.values == nil && p.def != "" {
			f.values = []string{p.def}
		}
		if p.options != nil {
			f.options = p.options(s, c)
		}
		fields = append(fields, f)
	}
	c.out = append(appendFields(b, "form", fields), "</x></command>"...)
	return nil
}

// appendCompleted answers with the outcome. A table is cut to what a stanza has room for.
func (c *call) appendCompleted(s *Service, run *run, kind, note string) {
	c.appendCommand(run, "completed")
	b := c.out
	form := []fieldForm{{name: "FORM_TYPE", typ: "hidden", values: []string{run.cmd.formType()}}}
	switch {
	case c.shown.columns != nil:
		room := s.opts.Link.MaxOutStanza - roomForEnd - len(note)
		b = appendFields(append(b, "<x xmlns='"+nsForm+"' type='result'>"...), "result", form)
		b = append(b, "<reported>"...)
		for _, name := range c.shown.columns {
			b = append(attr(append(b, "<field"...), "var", name), " type='text-single'/>"...)
		}
		b = append(b, "</reported>"...)
		for i, row := range c.shown.rows {
			end := len(b)
			b = append(b, "<item>"...)
			for j, v := range row {
				b = append(attr(append(b, "<field"...), "var", c.shown.columns[j]), "><value>"...)
				b = append(component.AppendText(b, v), "</value></field>"...)
			}
			if b = append(b, "</item>"...); len(b) > room {
				b = b[:end]
				note += fmt.Sprintf(" (cut after %d: the answer would be too big)", i)
				break
			}
		}
		b = append(b, "</x>"...)
	case c.shown.fields != nil:
		b = append(appendFields(append(b, "<x xmlns='"+nsForm+"' type='result'>"...), "result", append(form, c.shown.fields...)), "</x>"...)
	}
	if note != "" {
		b = append(append(append(b, "<note type='"...), kind...), "'>"...)
		b = append(component.AppendText(b, note), "</note>"...)
	}
	c.out = append(b, "</command>"...)
}

// text is what was said in a field: several lines are one text.
func (c *call) text(name string) string { return strings.Join(c.in[name], "\n") }

// word is a text without space around it.
func (c *call) word(name string) string { return strings.TrimSpace(c.text(name)) }

// list is what was said in a field of several values, without empty ones.
func (c *call) list(name string) []string {
	var list []string
	for _, v := range c.in[name] {
		list = append(list, strings.Fields(v)...)
	}
	return list
}

func (c *call) flag(name string) bool {
	yes, err := xmlBool(c.word(name))
	return err == nil && yes
}

// limit is a number of entries, from 1 to most; def if nothing was said.
func (c *call) limit(name string, def, most int) (int, error) {
	if c.word(name) == "" {
		return min(def, most), nil
	}
	n, err := strconv.Atoi(c.word(name))
	if err != nil || n < 1 || n > most {
		return 0, errBadPayload.saying(fmt.Sprintf("%s is a number from 1 to %d", name, most))
	}
	return n, nil
}

func (c *call) channel(name string) (broker.Channel, error) {
	ch, err := broker.ParseName(c.word(name))
	if err == nil && ch.Reserved() {
		err = errBadPayload.saying(string(ch) + " belongs to Bayeux")
	}
	return ch, err
}

// says is the note of the outcome.
func (c *call) says(format string, args ...any) { c.shown.note = fmt.Sprintf(format, args...) }

// value adds one value to the outcome.
func (c *call) value(name, value string) {
	c.shown.fields = append(c.shown.fields, fieldForm{name: name, typ: "text-single", values: []string{value}})
}

// row adds a row to the outcome's table.
func (c *call) row(values ...string) { c.shown.rows = append(c.shown.rows, values) }

// stampOf writes a time as XEP-0082 has it.
func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
