package xmpp

import (
	"strings"
	"testing"
	"time"

	"waft/xmpp/component"
)

// FuzzCommand executes a command and goes on with it, whatever the fuzzer makes up: each request has one answer,
// well-formed, and the service lives.
func FuzzCommand(f *testing.F) {
	for _, name := range []string{"publish", "history", "remove", "channels", "sessions", "close", "stats", "nodes", "owner", "admins", "admin-add", "admin-remove", "x"} {
		f.Add(name, "", "", "", filling("channel=/a", "data=1", "id=x"))
		f.Add(name, "execute", filling("channel=/a", "node=/a", "jid=a@b", "session=xmpp-1", "token=x", "max=2"), "complete", filling("x=y"))
		f.Add(name, "next", "<x/>", "prev", "<x xmlns='jabber:x:data' type='cancel'/>")
	}
	f.Fuzz(func(t *testing.T, name, action, inside, action2, inside2 string) {
		p := fuzzed(t)
		p.patience = 5 * time.Second
		session := ""
		for _, step := range [][2]string{{action, inside}, {action2, inside2}} {
			command := "<command xmlns='" + commandsNS + "' node='waft#" + string(component.AppendAttr(nil, name)) + "' action='" + string(component.AppendAttr(nil, step[0])) + "'"
			if session != "" {
				command += " sessionid='" + session + "'"
			}
			payload := command + ">" + step[1] + "</command>"
			if component.Check("localhost", []byte(iq("a@localhost", "set", payload))) != nil {
				payload = command + ">" + string(component.AppendText(nil, step[1])) + "</command>" // no server would pass it on
			}
			p.send(iq(bob, "set", payload))
			answer := p.stanza()
			for strings.HasPrefix(answer, "<message") { // an event of what was published
				answer = p.stanza()
			}
			if !strings.HasPrefix(answer, "<iq type='result'") && !strings.HasPrefix(answer, "<iq type='error'") {
				t.Errorf("the answer is %s", answer)
			}
			if m := sessionIDs.FindStringSubmatch(answer); m != nil {
				session = m[1]
			}
		}
		p.answers(bob, "get", "<ping xmlns='urn:xmpp:ping'/>", result(bob, ""))
	})
}
