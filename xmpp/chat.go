package xmpp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/carbons"
	"mellium.im/xmpp/delay"
	"mellium.im/xmpp/forward"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// chat takes a chat of somebody who manages the realm for a command: a verb, and what the command's fields are to be. Who
// does not manage gets the answer that a service without chats gives, so that nobody finds out there is more; but
// "admin-add --token …" is looked at whoever sends it. handled tells that there is nothing more to say; why is an error
// to answer with.
func (s *Service) chat(ctx context.Context, st *component.Stanza) (handled bool, why *stanzaError) {
	if !st.FromOK || s.addressed(st) != s.domain {
		return false, nil
	}
	text := bodyOf(st)
	r := &request{Stanza: st, user: st.FromJID.Bare().String()}
	r.who = s.opts.Principal(r.user)
	admin := s.manages(ctx, r.who)
	if !admin && !isBootstrap(text) {
		return false, nil
	}
	if text == "" || automatic(st) || st.FromJID.Domainpart() == s.domain {
		s.count.chatsIgnored.Add(1)
		return true, nil
	}
	if !admin {
		answer, secret, err := s.say(ctx, r, text)
		if err != nil {
			e := *s.toStanzaError(err)
			e.other, e.space = "", "" // a message knows nothing of commands
			return false, &e
		}
		s.reply(ctx, r, chatText(answer), secret)
		return true, nil
	}
	if !s.chats.admit(r.user, text) {
		s.count.chatsIgnored.Add(1)
		return true, nil
	}
	answer, secret, err := s.say(ctx, r, text)
	if errors.Is(err, errUnknownWord) && !s.chats.hint(r.user) {
		s.count.chatsIgnored.Add(1)
		return true, nil
	}
	if err != nil {
		answer = "no: " + s.toStanzaError(err).text
	}
	answer = chatText(answer)
	s.chats.said(r.user, answer)
	s.reply(ctx, r, answer, secret)
	return true, nil
}

// isBootstrap tells the one thing that a stranger can say.
func isBootstrap(text string) bool {
	return strings.HasPrefix(text, "admin-add ") && strings.Contains(text, "--token")
}

// bodyOf is the text of a message.
func bodyOf(st *component.Stanza) string {
	if b := st.Element.Child(st.Element.Name.Space, "body"); b != nil {
		return strings.TrimSpace(b.Text)
	}
	return ""
}

// automatic tells a message that nobody has just written to the service: one that was kept, copied or passed on, or that
// another service sends.
func automatic(st *component.Stanza) bool {
	for _, c := range st.Element.Children {
		switch c.Name.Space {
		case delay.NS, "jabber:x:delay", forward.NS, nsArchive, pubsub.NSEvent, "http://jabber.org/protocol/muc#user":
			return true
		case carbons.NS:
			return c.Name.Local != "private" // which asks that there be none
		}
	}
	return false
}

// say does what a line says and gives the answer. secret asks archives not to keep it.
func (s *Service) say(ctx context.Context, r *request, line string) (answer string, secret bool, err error) {
	verb, rest := cutWord(line)
	verb = strings.ToLower(verb) // telephones begin sentences
	if verb == "help" {
		return s.help(ctx, r, strings.TrimSpace(rest)), false, nil
	}
	cmd := s.commandNamed(verb)
	if cmd == nil {
		return "", false, errUnknownWord
	}
	in, err := cmd.parse(rest)
	if err != nil {
		return "", false, err
	}
	if name := missing(cmd.params(), in); name != "" {
		return "", false, errBadPayload.saying(name + " is missing: " + cmd.usage())
	}
	c := &call{request: r, in: in}
	if err := cmd.do(s, ctx, c); err != nil {
		s.count.commandsFailed.Add(1)
		return "", false, err
	}
	s.count.commands.Add(1)
	return c.shown.text(), c.shown.secret, nil
}

// help lists the verbs, or explains one.
func (s *Service) help(ctx context.Context, r *request, verb string) string {
	var b strings.Builder
	for _, cmd := range s.commandsOf(ctx, r.who) {
		switch verb {
		case "":
			fmt.Fprintf(&b, "%s\n", cmd.usage())
		case cmd.name:
			fmt.Fprintf(&b, "%s: %s\n", cmd.usage(), cmd.title)
			for _, p := range cmd.params() {
				fmt.Fprintf(&b, "  %s: %s", p.name, p.label)
				if p.def != "" {
					fmt.Fprintf(&b, " (%s)", p.def)
				}
				b.WriteByte('\n')
			}
		}
	}
	if b.Len() == 0 {
		return "there is no such command; say help"
	}
	return b.String()
}

// usage shows how a command is said.
func (cmd *command) usage() string {
	var b strings.Builder
	b.WriteString(cmd.name)
	for _, p := range cmd.params() {
		word := strings.ToUpper(p.name)
		switch {
		case p.typ == "boolean":
			fmt.Fprintf(&b, " [--%s[=0]]", p.name)
		case p.required:
			b.WriteString(" " + word)
		case p.several():
			fmt.Fprintf(&b, " [--%s %s]…", p.name, word)
		default:
			fmt.Fprintf(&b, " [--%s %s]", p.name, word)
		}
	}
	return b.String()
}

// parse reads what follows a verb: words fill the fields in their order, --name VALUE (or --name=VALUE) one of them, and
// a field that takes the rest of the line ends it.
func (cmd *command) parse(line string) (map[string][]string, error) {
	in := make(map[string][]string)
	fields := cmd.params()
	next := 0
	for {
		if line = strings.TrimSpace(line); line == "" {
			return in, nil
		}
		if option, ok := strings.CutPrefix(line, "--"); ok {
			var err error
			if line, err = cmd.option(in, option); err != nil {
				return nil, err
			}
			continue
		}
		for next < len(fields) && in[fields[next].name] != nil && !fields[next].several() {
			next++
		}
		if next == len(fields) {
			return nil, errBadPayload.saying("that is more than the command takes: " + cmd.usage())
		}
		p := fields[next]
		if p.rest {
			in[p.name] = []string{line}
			return in, nil
		}
		var word string
		word, line = cutWord(line)
		in[p.name] = append(in[p.name], word)
	}
}

// option reads one option, after its dashes, and gives what follows it.
func (cmd *command) option(in map[string][]string, line string) (rest string, err error) {
	word, rest := cutWord(line)
	name, value, given := strings.Cut(word, "=")
	fields := cmd.params()
	i := slices.IndexFunc(fields, func(p param) bool { return p.name == name })
	if i < 0 {
		return "", errBadPayload.saying("there is no --" + broker.Quote(name) + ": " + cmd.usage())
	}
	p := fields[i]
	switch {
	case given:
	case p.typ == "boolean":
		value = "1"
	default:
		if value, rest = cutWord(strings.TrimSpace(rest)); value == "" {
			return "", errBadPayload.saying("--" + name + " needs a value")
		}
	}
	if p.typ == "boolean" {
		if _, err := xmlBool(value); err != nil {
			return "", errBadPayload.saying("--" + name + " is 0 or 1")
		}
	}
	if !p.several() {
		in[name] = nil
	}
	in[name] = append(in[name], value)
	return rest, nil
}

// cutWord takes the first word off a line.
func cutWord(line string) (word, rest string) {
	if i := strings.IndexAny(line, " \t\r\n"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, ""
}

// text is the outcome for a person.
func (o *output) text() string {
	var b strings.Builder
	for _, row := range o.rows {
		b.WriteString(strings.Join(slices.DeleteFunc(slices.Clone(row), func(v string) bool { return v == "" }), "  "))
		b.WriteByte('\n')
	}
	for _, f := range o.fields {
		fmt.Fprintf(&b, "%s: %s\n", f.name, strings.Join(f.values, " "))
	}
	if o.note != "" {
		b.WriteString(o.note)
	}
	return b.String()
}

// maxChat is the longest answer in a chat, in bytes.
const maxChat = 16 << 10

// chatText makes an answer fit for a chat.
func chatText(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxChat {
		text = strings.ToValidUTF8(text[:maxChat], "") + " … (cut: ask for less)"
	}
	return text
}

// reply sends a chat, and then does what is left to do.
func (s *Service) reply(ctx context.Context, r *request, text string, secret bool) {
	b := attr([]byte("<message type='chat'"), "from", s.domain)
	b = attr(attr(b, "to", r.From), "id", rand.Text())
	b = append(component.AppendText(append(b, "><body>"...), text), "</body>"...)
	space := r.Element.Name.Space
	if thread := r.Element.Child(space, "thread"); thread != nil && len(thread.Text) <= 256 {
		b = append(component.AppendText(append(b, "<thread>"...), thread.Text), "</thread>"...)
	}
	if secret {
		b = append(b, "<no-store xmlns='urn:xmpp:hints'/>"...)
	}
	s.count.chats.Add(1)
	s.send(ctx, append(b, "</message>"...))
	if r.after != nil {
		r.after(ctx)
	}
}
