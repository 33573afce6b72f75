package xmpp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/commands"

	"waft/broker"
	"waft/xmpp/component"
)

const (
	nsCommands = commands.NS
	nsXML      = "http://www.w3.org/XML/1998/namespace"
)

// command is one operation of the API by stanza. Forms (XEP-0050) and chats are two ways of filling in its fields; what
// it then does goes through the same calls to the broker as on every other protocol, with the rights of who asks.
type command struct {
	name   string // its node is "waft#" and this, its verb in a chat this
	known  string // the node and the FORM_TYPE instead, of a command that another XEP defines
	form   string
	title  string
	admin  bool // for those who manage the realm; nobody else is told of it
	stages [][]param

	// offered tells whether the service can do it; nil: it can.
	offered func(s *Service) bool

	// open lets somebody in who does not manage the realm and brings what proves that he may; nil: nobody.
	open func(c *call) bool

	// look prepares a stage: it checks what was said before, and gives instructions. nil: nothing to do.
	look func(s *Service, ctx context.Context, c *call, stage int) (instructions string, err error)

	// do does it. An error about the input leaves the form open; any other ends the command.
	do func(s *Service, ctx context.Context, c *call) error
}

// param is one field that a command asks for.
type param struct {
	name, label string
	typ         string // of XEP-0004; "" is text-single
	def         string
	required    bool
	rest        bool // in a chat it takes the rest of the line

	options func(s *Service, c *call) []string // of a list-single; nil: none
}

// call is a command that is being done, or prepared.
type call struct {
	*request
	in    map[string][]string // what was filled in, by field
	shown output              // what it has to say
}

// output is what a command has to say.
type output struct {
	note    string
	fields  []fieldForm // values, each by its name
	columns []string    // or a table
	rows    [][]string
	secret  bool // archives should not keep it
}

// commandPrefix makes nodes of the names of commands. No channel has a "#" in it.
const commandPrefix = "waft#"

func (cmd *command) node() string { return cmp.Or(cmd.known, commandPrefix+cmd.name) }

func (cmd *command) formType() string { return cmp.Or(cmd.form, cmd.node()) }

// params gives the fields of all stages in order.
func (cmd *command) params() []param {
	var all []param
	for _, stage := range cmd.stages {
		all = append(all, stage...)
	}
	return all
}

// commandFor finds a command by its node.
func (s *Service) commandFor(node string) *command {
	return s.find(func(cmd *command) bool { return cmd.node() == node })
}

// commandNamed finds a command by its name.
func (s *Service) commandNamed(name string) *command {
	return s.find(func(cmd *command) bool { return cmd.name == name })
}

func (s *Service) find(is func(*command) bool) *command {
	for _, cmd := range apiCommands {
		if is(cmd) && (cmd.offered == nil || cmd.offered(s)) {
			return cmd
		}
	}
	return nil
}

// commandsOf lists what somebody may know of.
func (s *Service) commandsOf(ctx context.Context, who broker.Principal) []*command {
	manages := s.manages(ctx, who)
	var list []*command
	for _, cmd := range apiCommands {
		if (manages || !cmd.admin) && (cmd.offered == nil || cmd.offered(s)) {
			list = append(list, cmd)
		}
	}
	return list
}

// manages asks whether somebody manages the realm.
func (s *Service) manages(ctx context.Context, who broker.Principal) bool {
	return s.broker.May(ctx, who, broker.ActManage, "/**") == nil
}

// action is what a requester wants of a command (XEP-0050 §2.4).
type action string

const (
	actExecute  action = "execute"
	actNext     action = "next"
	actPrev     action = "prev"
	actComplete action = "complete"
	actCancel   action = "cancel"
)

// command executes a command, or goes on with one (XEP-0050 §2.4).
func (s *Service) command(ctx context.Context, r *request) error {
	act := action(r.payload.Attr("action"))
	switch act {
	case "":
		act = actExecute
	case actExecute, actNext, actPrev, actComplete, actCancel:
	default:
		return errMalformedAction
	}
	if !plausibleLanguage(language(r.payload)) {
		return errBadLocale
	}
	cmd := s.commandFor(r.payload.Attr("node"))
	if cmd == nil {
		return errNoCommand
	}
	in, cancelled, err := cmd.read(r.payload)
	if err != nil {
		return err
	}
	c := &call{request: r, in: in}
	if cmd.admin && !s.manages(ctx, r.who) && (cmd.open == nil || !cmd.open(c)) {
		return errCommandForbidden
	}
	if id := r.payload.Attr("sessionid"); id != "" || r.payload.HasAttr("sessionid") {
		run, err := s.runs.find(id, r.From, cmd)
		if err != nil {
			return err
		}
		if cancelled {
			act = actCancel // whatever else it says
		}
		return s.resume(ctx, c, run, act)
	}
	if act != actExecute || cancelled {
		return errBadAction.saying("a command begins with the action execute")
	}
	return s.begin(ctx, c, cmd)
}

// begin executes a command. Who gives everything at once, as programs do, is given no form.
func (s *Service) begin(ctx context.Context, c *call, cmd *command) error {
	fields := cmd.params()
	if len(fields) == 0 || c.payload.Child(nsForm, "x") != nil && missing(fields, c.in) == "" {
		return s.complete(ctx, c, &run{id: s.runs.id(c.From), cmd: cmd})
	}
	run, err := s.runs.open(c.From, cmd, c.in)
	if err != nil {
		return err
	}
	return s.show(ctx, c, run)
}

// resume goes on with a command. An action that cannot be leaves everything as it is.
func (s *Service) resume(ctx context.Context, c *call, run *run, act action) error {
	allowed := run.actions()
	if act == actExecute {
		act = allowed[0]
	}
	switch {
	case act == actCancel:
		s.runs.close(run)
		c.appendCommand(run, "canceled")
		c.out = append(c.out, "</command>"...)
		return nil
	case !slices.Contains(allowed, act):
		return errBadAction.saying(fmt.Sprintf("this stage of the command allows %q", allowed))
	case act == actPrev:
		run.stage--
		return s.show(ctx, c, run)
	}
	// What a later stage asks for may come with this one.
	merged := run.with(c.in)
	stage := run.cmd.stages[run.stage]
	if act == actComplete {
		stage = run.cmd.params()
	}
	if name := missing(stage, merged); name != "" {
		return errBadPayload.saying(broker.Quote(name) + " is missing")
	}
	c.in = merged
	if act == actComplete {
		return s.complete(ctx, c, run)
	}
	if sizeOf(merged) > maxRunBytes {
		return errBadPayload.saying("that is more than one stage of a command can have")
	}
	before := *run
	run.in, run.stage = merged, run.stage+1
	if err := s.show(ctx, c, run); err != nil {
		run.in, run.stage = before.in, before.stage
		return err
	}
	return nil
}

// complete does the command. What was wrong with the input can be mended in the open form; the rest ends the command, and
// is told in it, unless it is a refusal (XEP-0050 §4.4 against §3.3).
func (s *Service) complete(ctx context.Context, c *call, run *run) error {
	err := run.cmd.do(s, ctx, c)
	if err == nil {
		s.runs.close(run)
		s.count.commands.Add(1)
		c.appendCompleted(s, run, "info", c.shown.note)
		return nil
	}
	s.count.commandsFailed.Add(1)
	e := s.toStanzaError(err)
	refusal := e.ofCommand()
	if refusal == nil || refusal.condition == errCommandForbidden.condition {
		s.runs.close(run)
	}
	if refusal != nil {
		return refusal
	}
	c.shown = output{}
	c.appendCompleted(s, run, "error", e.text)
	return nil
}

// read takes the fields of a command out of what was submitted. Unknown ones are passed over.
func (cmd *command) read(payload *component.Element) (in map[string][]string, cancelled bool, err error) {
	if payload.Child(nsForm, "x") == nil {
		return nil, false, nil // notes and actions that some clients send back mean nothing
	}
	f, err := readForm(payload, cmd.formType(), errBadPayload)
	if err != nil || f.cancel {
		return nil, f.cancel, err
	}
	in = make(map[string][]string)
	for _, p := range cmd.params() {
		for _, field := range f.fields {
			if field.name != p.name {
				continue
			}
			if len(field.values) > 1 && !p.several() {
				return nil, false, errBadPayload.saying(broker.Quote(p.name) + " has several values")
			}
			if p.typ == "boolean" {
				if _, err := xmlBool(field.values[0]); err != nil {
					return nil, false, errBadPayload.saying(broker.Quote(p.name) + " is a boolean: 0, 1, false or true")
				}
			}
			in[p.name] = field.values
		}
	}
	return in, false, nil
}

func (p param) several() bool { return p.typ == "text-multi" }

// missing names the first required field that nothing was said in, "" for none.
func missing(fields []param, in map[string][]string) string {
	for _, p := range fields {
		if p.required && strings.TrimSpace(strings.Join(in[p.name], "")) == "" {
			return p.name
		}
	}
	return ""
}

// language is the xml:lang of an element.
func language(e *component.Element) string {
	for _, a := range e.Attrs {
		if a.Name.Space == nsXML && a.Name.Local == "lang" {
			return a.Value
		}
	}
	return ""
}

// plausibleLanguage tells whether a tag has the form of RFC 5646. All get English: to refuse a client for the language of
// its user would help nobody (XEP-0050 §4.4, bad-locale).
func plausibleLanguage(tag string) bool {
	if tag == "" {
		return true
	}
	for part := range strings.SplitSeq(tag, "-") {
		if len(part) < 1 || len(part) > 8 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return false
		}
	}
	return true
}
