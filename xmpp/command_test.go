package xmpp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

const commandsNS = "http://jabber.org/protocol/commands"

// managed lets alice alone manage; channels keep ten messages.
func managed(o *setup) {
	o.broker.Authorizer = aliceManages
	o.broker.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 10} }
}

// executing is a command's request: attributes beside the node, and what is in it.
func executing(name, attributes, inside string) string {
	return "<command xmlns='" + commandsNS + "' node='waft#" + name + "' " + attributes + ">" + inside + "</command>"
}

// filling is a form of "name=value"; several values stand after one another.
func filling(fields ...string) string {
	b := "<x xmlns='jabber:x:data' type='submit'>"
	for _, f := range fields {
		name, values, _ := strings.Cut(f, "=")
		b += "<field var='" + name + "'>"
		for v := range strings.SplitSeq(values, "|") {
			b += "<value>" + v + "</value>"
		}
		b += "</field>"
	}
	return b + "</x>"
}

var (
	sessionIDs = regexp.MustCompile(`sessionid='([A-Z2-7]{26}-[0-9a-z]+)'`)
	positions  = regexp.MustCompile(`<value>[0-9a-z]{8,}-([0-9]+)</value>`)
	newIDs     = regexp.MustCompile(`[A-Z2-7]{26}`)
	stamps     = regexp.MustCompile(`<value>2000-01-01T00:00:[0-9.]+Z</value>`)
)

// executes sends a command of somebody and checks the answer, in which sessions are S, positions end in their offset, new
// ids are NEW, and times T. It gives the session.
func (p *server) executes(from, payload, want string) (session string) {
	p.t.Helper()
	p.send(iq(from, "set", payload))
	got := p.after("<message")
	if m := sessionIDs.FindStringSubmatch(got); m != nil {
		session = m[1]
	}
	got = sessionIDs.ReplaceAllString(got, "sessionid='S'")
	got = positions.ReplaceAllString(got, "<value>P$1</value>")
	got = stamps.ReplaceAllString(newIDs.ReplaceAllString(got, "NEW"), "<value>T</value>")
	if want = strings.ReplaceAll(want, "\n", ""); got != want {
		p.t.Errorf("%s\nis answered\n%s\nwant\n%s", payload, got, want)
	}
	return session
}

// after gives the next stanza that does not begin with kind; those that do are read again by whoever comes next: answers
// and events have no order between them.
func (p *server) after(kind string) string {
	p.t.Helper()
	var passed string
	for {
		s := p.stanza()
		if !strings.HasPrefix(s, kind) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.got = append([]byte(passed), p.got...)
			return s
		}
		passed += s
	}
}

// executed is the answer of a command.
func executed(to, name, status, inside string) string {
	return result(to, "<command xmlns='"+commandsNS+"' node='waft#"+name+"' sessionid='S' status='"+status+"'>"+inside+"</command>")
}

// noted is that of one that has completed with a note alone.
func noted(to, name, kind, note string) string {
	return executed(to, name, "completed", "<note type='"+kind+"'>"+note+"</note>")
}

// refusedCommand is an error of XEP-0050.
func refusedCommand(to, shape, text string) string {
	shape, app, ok := strings.Cut(shape, " + ")
	e := refused(to, shape, text)
	if ok {
		e = strings.Replace(e, "</error>", "<"+app+" xmlns='"+commandsNS+"'/></error>", 1)
	}
	return e
}

func typeField(name string) string {
	return "<field var='FORM_TYPE' type='hidden'><value>waft#" + name + "</value></field>"
}

const publishForm = "<actions execute='complete'><complete/></actions><x xmlns='jabber:x:data' type='form'><title>Publish a message</title>" +
	"<field var='FORM_TYPE' type='hidden'><value>waft#publish</value></field>" +
	"<field var='channel' type='text-single' label='Channel'><required/></field>" +
	"<field var='data' type='text-multi' label='JSON'><required/></field>" +
	"<field var='id' type='text-single' label='Id; an item with it gives way'></field></x>"

func wasPublished(to, channel, id string) string {
	return executed(to, "publish", "completed", "<x xmlns='jabber:x:data' type='result'>"+typeField("publish")+
		"<field var='id' type='text-single'><value>"+id+"</value></field><field var='position' type='text-single'><value>P1</value></field></x>"+
		"<note type='info'>published to "+channel+" as "+id+"</note>")
}

// Checklist 96.
func TestCommands_are_listed_to_who_may_use_them(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		listed := func(who string) (nodes []string) {
			for _, m := range regexp.MustCompile(`<item jid='waft.localhost' node='(?:waft|http://jabber.org/protocol/pubsub)#([a-z-]+)' name='[^']+'/>`).FindAllStringSubmatch(w.ask(who, "get", discoItems(commandsNS, "")), -1) {
				nodes = append(nodes, m[1])
			}
			return nodes
		}
		everybody := []string{"get-pending", "channels", "history", "publish", "remove"}
		if got := listed(bob); !slices.Equal(got, everybody) {
			t.Errorf("bob sees %q", got)
		}
		all := []string{"get-pending", "admin-add", "admin-remove", "admins", "channels", "close", "history", "nodes", "owner", "publish", "remove", "sessions", "stats"}
		if got := listed(alice); !slices.Equal(got, all) { // without token and reload, which the program does not offer
			t.Errorf("alice sees %q", got)
		}
		described := func(typ, name string) string {
			return "><identity category='automation' type='" + typ + "' name='" + name + "'/><feature var='" + infoNS + "'/><feature var='" + itemsNS +
				"'/><feature var='" + commandsNS + "'/><feature var='jabber:x:data'/></query>"
		}
		w.answers(bob, "get", info(commandsNS), result(bob, "<query xmlns='"+infoNS+"' node='"+commandsNS+"'"+described("command-list", "Commands")))
		w.answers(bob, "get", info("waft#publish"), result(bob, "<query xmlns='"+infoNS+"' node='waft#publish'"+described("command-node", "Publish a message")))
		w.answers(alice, "get", info("waft#stats"), result(alice, "<query xmlns='"+infoNS+"' node='waft#stats'"+described("command-node", "Show the realm&apos;s numbers")))
		w.answers(bob, "get", discoItems("waft#publish", ""), result(bob, "<query xmlns='"+itemsNS+"' node='waft#publish'></query>"))
		for _, hidden := range []string{"waft#stats", "waft#reload", "waft#x", "waft#"} {
			w.answers(bob, "get", info(hidden), refused(bob, "cancel: item-not-found", "there is no such command"))
			w.answers(bob, "get", discoItems(hidden, ""), refused(bob, "cancel: item-not-found", "there is no such command"))
		}
		w.answers(bob, "get", discoItems(commandsNS, rsm("<max>1</max><after>waft#channels</after>")), result(bob, "<query xmlns='"+itemsNS+"' node='"+commandsNS+
			"'><item jid='waft.localhost' node='waft#history' name='Read what a channel keeps'/>"+
			"<set xmlns='http://jabber.org/protocol/rsm'><first index='2'>waft#history</first><last>waft#history</last><count>5</count></set></query>"))
	})
}

// Checklist 97, 98.
func TestCommand_publish(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		w.subscribed(carol, "/chat", "carol@localhost")
		session := w.executes(bob, executing("publish", "action='execute'", ""), executed(bob, "publish", "executing", publishForm))
		in := "sessionid='" + session + "'"
		for _, c := range []struct{ form, text string }{
			{filling("channel=/chat", `data={"a":`), "the JSON is wrong at byte 5: unexpected end of JSON input"},
			{filling("channel=/chat"), `"data" is missing`},
			{filling("channel=/a b", "data=1"), `channel "/a b" has " " at byte 2, which no channel may have`},
			{filling("channel=/chat|/b", "data=1"), `"channel" has several values`},
			{"<x xmlns='urn:x'/>", `"channel" is missing`},
			{filling("channel=/meta/x", "data=1"), `/meta/x belongs to Bayeux`},
			{filling("channel=/chat", "data=1", "channel=/b"), `the form has a field twice: "channel"`},
			{strings.Replace(filling("channel=/chat", "data=1"), "submit", "result", 1), `a form is submitted with the type submit or cancel`},
		} {
			w.executes(bob, executing("publish", in, c.form), refusedCommand(bob, "modify: bad-request + bad-payload", c.text))
		}
		w.executes(bob, executing("publish", in, filling("channel=chat", `data={"a":|1}`, "id=7", "unknown=1")), wasPublished(bob, "/chat", "7"))
		w.gets(eventText("carol@localhost", "E", "/chat", item("7", `{"a":1}`)))
		w.executes(bob, executing("publish", in, filling("channel=chat", "data=1")), refusedCommand(bob, "cancel: not-allowed + session-expired", "the session has ended; begin anew"))

		// Who says everything at once is asked nothing.
		w.executes(bob, executing("publish", "", filling("channel=/chat/2", "data=1")), wasPublished(bob, "/chat/2", "NEW"))
		// Who says a part finds it in the form.
		w.executes(bob, executing("publish", "", filling("channel=/chat/3")), executed(bob, "publish", "executing",
			strings.Replace(publishForm, "<required/>", "<required/><value>/chat/3</value>", 1)))
		w.executes(bob, executing("publish", "", filling("channel=/news/1", "data=1")), refusedCommand(bob, "cancel: forbidden", "bob@localhost may not publish /news/1"))
	})
}

// Checklist 99.
func TestCommand_refuses(t *testing.T) {
	for _, c := range []struct{ name, payload, shape, text string }{
		{"unknown", executing("x", "", ""), "cancel: item-not-found", "there is no such command"},
		{"no node", "<command xmlns='" + commandsNS + "'/>", "cancel: item-not-found", "there is no such command"},
		{"not offered", executing("reload", "", ""), "cancel: item-not-found", "there is no such command"},
		{"for admins", executing("stats", "", ""), "cancel: forbidden", "the command is not for you"},
		{"for admins, whatever session", executing("stats", "sessionid='x'", ""), "cancel: forbidden", "the command is not for you"},
		{"no action", executing("publish", "action='run'", ""), "modify: bad-request + malformed-action", "an action is execute, next, prev, complete or cancel"},
		{"wrong action", executing("publish", "action='next'", ""), "modify: bad-request + bad-action", "a command begins with the action execute"},
		{"cancels nothing", executing("publish", "action='cancel'", ""), "modify: bad-request + bad-action", "a command begins with the action execute"},
		{"language", executing("publish", "xml:lang='no language'", ""), "modify: bad-request + bad-locale", "xml:lang is no language tag"},
		{"session of nobody", executing("publish", "sessionid='x'", ""), "modify: bad-request + bad-sessionid", "this is not a session of yours with this command"},
		{"empty session", executing("publish", "sessionid=''", ""), "modify: bad-request + bad-sessionid", "this is not a session of yours with this command"},
		{"forged session", executing("publish", "sessionid='AAAAAAAAAAAAAAAAAAAAAAAAAA-1'", ""), "modify: bad-request + bad-sessionid", "this is not a session of yours with this command"},
		{
			"form of another", executing("publish", "", "<x xmlns='jabber:x:data' type='submit'>"+typeField("history")+"<field var='channel'><value>/a</value></field></x>"),
			"modify: bad-request + bad-payload", `the form is of the type "waft#history"; it must be waft#publish`,
		},
		{"boolean", executing("remove", "", filling("channel=/a", "id=1", "notify=x")), "modify: bad-request + bad-payload", `"notify" is a boolean: 0, 1, false or true`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, managed, func(w *world) {
				w.answers(bob, "set", c.payload, refusedCommand(bob, c.shape, c.text))
				if n := w.svc.runs.size(); n != 0 {
					t.Errorf("%d commands are open", n)
				}
			})
		})
	}
	t.Run("get", func(t *testing.T) {
		dialogue(t, managed, func(w *world) {
			w.answers(bob, "get", executing("publish", "", ""), refused(bob, "modify: bad-request", "this request is made with the other of the iq types get and set"))
		})
	})
}

// Checklist 100, 101: two stages, back and forth.
func TestCommand_stages(t *testing.T) {
	dialogue(t, func(o *setup) {
		managed(o)
		o.service.Mint = func(_ broker.Principal, r TokenRequest) (string, error) { return fmt.Sprintf("%+v", r), nil }
	}, func(w *world) {
		first := func(subject string) string {
			return "<actions execute='next'><next/><complete/></actions><x xmlns='jabber:x:data' type='form'><title>Make a token</title>" + typeField("token") +
				"<field var='subject' type='text-single' label='Who holds it'>" + subject + "</field>" +
				"<field var='lifetime' type='text-single' label='How long it is good (90s, 15m, 24h)'><value>1h</value></field></x>"
		}
		const second = "<actions execute='complete'><prev/><complete/></actions><x xmlns='jabber:x:data' type='form'><title>Make a token</title>" +
			"<field var='FORM_TYPE' type='hidden'><value>waft#token</value></field>" +
			"<field var='publish' type='text-multi' label='Patterns to publish to'></field><field var='subscribe' type='text-multi' label='Patterns to subscribe to'></field>" +
			"<field var='read' type='text-multi' label='Patterns to read the history of'></field><field var='manage' type='boolean' label='Manage the realm'><value>0</value></field></x>"
		session := w.executes(alice, executing("token", "", ""), executed(alice, "token", "executing", first("")))
		in := "sessionid='" + session + "'"
		w.executes(alice, executing("token", in+" action='prev'", ""), refusedCommand(alice, "modify: bad-request + bad-action", `this stage of the command allows ["next" "complete"]`))
		w.executes(alice, executing("token", in+" action='next'", filling("subject=s&amp;", "lifetime=1h")), executed(alice, "token", "executing", second))
		w.executes(alice, executing("token", in+" action='next'", ""), refusedCommand(alice, "modify: bad-request + bad-action", `this stage of the command allows ["complete" "prev"]`))
		w.executes(alice, executing("token", in+" action='frob'", ""), refusedCommand(alice, "modify: bad-request + malformed-action", "an action is execute, next, prev, complete or cancel"))
		w.executes(alice, executing("token", in+" action='prev'", ""), executed(alice, "token", "executing", first("<value>s&amp;</value>")))
		w.executes(alice, executing("token", in+" action='execute'", ""), executed(alice, "token", "executing", second)) // what was there stays
		w.executes(alice, executing("token", in+" action='complete'", ""), refusedCommand(alice, "modify: bad-request + bad-payload", "say what the token may do: publish, subscribe, read or manage"))
		// The session is alice's with this client and this command.
		for _, c := range []struct{ who, name string }{{"alice@localhost/other", "token"}, {alice, "publish"}} {
			w.executes(c.who, executing(c.name, in, ""), refusedCommand(c.who, "modify: bad-request + bad-sessionid", "this is not a session of yours with this command"))
		}
		w.executes(bob, executing("publish", in, ""), refusedCommand(bob, "modify: bad-request + bad-sessionid", "this is not a session of yours with this command"))
		w.executes(alice, executing("token", in, filling("publish=a/*|/b", "manage=true")), executed(alice, "token", "completed",
			"<x xmlns='jabber:x:data' type='result'>"+typeField("token")+"<field var='token' type='text-single'><value>"+
				"{Subject:s&amp; Lifetime:1h0m0s Publish:[/a/* /b] Subscribe:[] Read:[] Manage:true}</value></field></x><note type='info'>good for 1h0m0s</note>"))

		session = w.executes(alice, executing("token", "", ""), executed(alice, "token", "executing", first("")))
		w.executes(alice, executing("token", "action='cancel' sessionid='"+session+"'", ""), executed(alice, "token", "canceled", ""))
		session = w.executes(alice, executing("token", "", ""), executed(alice, "token", "executing", first("")))
		w.executes(alice, executing("token", "sessionid='"+session+"'", "<x xmlns='jabber:x:data' type='cancel'/>"), executed(alice, "token", "canceled", ""))
		if n := w.svc.runs.size(); n != 0 {
			t.Errorf("%d commands are open", n)
		}
		for _, c := range []struct{ form, text string }{
			{filling("lifetime=25h", "manage=1"), "lifetime is at most 24h0m0s"},
			{filling("lifetime=-1h", "manage=1"), "lifetime is a duration such as 90s, 15m or 24h"},
			{filling("lifetime=x", "manage=1"), "lifetime is a duration such as 90s, 15m or 24h"},
			{filling("publish=/a b**"), `channel "/b**" has "*" at byte 2, which no channel may have`},
		} {
			w.executes(alice, executing("token", "", c.form), refusedCommand(alice, "modify: bad-request + bad-payload", c.text))
		}
	})
}

// Checklist 102.
func TestCommand_sessions_are_bounded_and_end(t *testing.T) {
	dialogue(t, func(o *setup) {
		managed(o)
		o.service.MaxCommands, o.service.MaxTotalCommands, o.service.CommandTTL = 2, 3, time.Minute
	}, func(w *world) {
		begin := func(who string) string {
			t.Helper()
			return w.executes(who, executing("publish", "", ""), executed(who, "publish", "executing", publishForm))
		}
		const mine, all = "you have as many commands open as anybody may; complete or cancel one", "the service has as many commands open as it can have"
		old := begin(bob)
		begin("bob@localhost/other")
		w.executes(bob, executing("publish", "", ""), refusedCommand(bob, "wait: policy-violation", mine))
		w.executes(bob, executing("publish", "", filling("channel=/a", "data=1")), wasPublished(bob, "/a", "NEW")) // needs no session
		begin(carol)
		w.executes(alice, executing("publish", "", ""), refusedCommand(alice, "wait: resource-constraint", all))

		time.Sleep(59 * time.Second)
		w.executes(bob, executing("publish", "sessionid='"+old+"'", filling("channel=/a")), refusedCommand(bob, "modify: bad-request + bad-payload", `"data" is missing`))
		time.Sleep(59 * time.Second) // whatever comes makes it last
		w.executes(bob, executing("publish", "sessionid='"+old+"'", filling("channel=/b", "data=1")), wasPublished(bob, "/b", "NEW"))
		begin(bob)
		begin(bob)
		begin(alice) // for those that are out of date are gone
		time.Sleep(time.Minute)
		last := begin("carol@localhost/x")
		time.Sleep(time.Minute)
		w.executes("carol@localhost/x", executing("publish", "sessionid='"+last+"'", ""), refusedCommand("carol@localhost/x", "cancel: not-allowed + session-expired", "the session has ended; begin anew"))
		last = begin(carol)
		w.send("<presence type='unavailable' from='" + carol + "' to='waft.localhost'/>")
		w.executes(carol, executing("publish", "sessionid='"+last+"'", ""), refusedCommand(carol, "cancel: not-allowed + session-expired", "the session has ended; begin anew"))
	})
}

func TestCommand_keeps_little_between_stages(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		big := strings.Repeat("x", maxRunBytes)
		w.executes(bob, executing("publish", "", filling("data="+big)), refusedCommand(bob, "modify: bad-request + bad-payload", "the form is not complete, and too big to be kept"))
		w.executes(bob, executing("publish", "", filling("channel=/a", `data="`+big+`"`)), wasPublished(bob, "/a", "NEW"))
		if n := w.svc.runs.size(); n != 0 {
			t.Errorf("%d commands are open", n)
		}
	})
}

func TestCommand_keeps_little_of_a_stage(t *testing.T) {
	dialogue(t, func(o *setup) {
		managed(o)
		o.service.Mint = func(broker.Principal, TokenRequest) (string, error) { return "T", nil }
	}, func(w *world) {
		session := w.executes(alice, executing("token", "", ""), executed(alice, "token", "executing",
			"<actions execute='next'><next/><complete/></actions><x xmlns='jabber:x:data' type='form'><title>Make a token</title>"+typeField("token")+
				"<field var='subject' type='text-single' label='Who holds it'></field>"+
				"<field var='lifetime' type='text-single' label='How long it is good (90s, 15m, 24h)'><value>1h</value></field></x>"))
		in := "sessionid='" + session + "'"
		w.executes(alice, executing("token", in+" action='next'", filling("subject="+strings.Repeat("x", maxRunBytes))),
			refusedCommand(alice, "modify: bad-request + bad-payload", "that is more than one stage of a command can have"))
		w.executes(alice, executing("token", in+" action='complete'", filling("manage=1")), executed(alice, "token", "completed",
			"<x xmlns='jabber:x:data' type='result'>"+typeField("token")+"<field var='token' type='text-single'><value>T</value></field></x><note type='info'>good for 1h0m0s</note>"))
	})
}

// Whose own rights end gives nobody rights that end later.
func TestCommand_token_ends_with_the_rights_of_who_makes_it(t *testing.T) {
	dialogue(t, func(o *setup) {
		managed(o)
		o.service.Mint = func(broker.Principal, TokenRequest) (string, error) { return "T", nil }
		o.service.Principal = func(jid string) broker.Principal {
			who := principal(jid)
			who.Expires = time.Now().Add(30 * time.Minute)
			return who
		}
	}, func(w *world) {
		w.executes(alice, executing("token", "", filling("manage=1")), refusedCommand(alice, "modify: bad-request + bad-payload", "the token would outlive your own rights"))
		w.executes(alice, executing("token", "", filling("manage=1", "lifetime=20m")), executed(alice, "token", "completed",
			"<x xmlns='jabber:x:data' type='result'>"+typeField("token")+"<field var='token' type='text-single'><value>T</value></field></x><note type='info'>good for 20m0s</note>"))
	})
}

func table(name string, columns []string, rows ...[]string) string {
	b := "<x xmlns='jabber:x:data' type='result'>" + typeField(name) + "<reported>"
	for _, c := range columns {
		b += "<field var='" + c + "' type='text-single'/>"
	}
	b += "</reported>"
	for _, row := range rows {
		b += "<item>"
		for i, v := range row {
			b += "<field var='" + columns[i] + "'><value>" + v + "</value></field>"
		}
		b += "</item>"
	}
	return b + "</x>"
}

func TestCommand_history_and_remove(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		for i := range 3 {
			w.publish("/chat", fmt.Sprintf(`{"n":%d,"t":"<\uffff"}`, i))
		}
		w.answers(bob, "set", publishing("/chat", item("mine", `"﷐`+"\uFFFD"+`"`)), published(bob, "/chat", "mine"))
		columns := []string{"position", "time", "id", "publisher", "data"}
		row := func(i int) []string {
			return []string{fmt.Sprintf("P%d", i+1), "T", "NEW", "alice@localhost", fmt.Sprintf(`{"n":%d,"t":"&lt;\uffff"}`, i)}
		}
		mine := []string{"P4", "T", "mine", "bob@localhost", `"﷐` + "\uFFFD" + `"`}
		w.executes(bob, executing("history", "", filling("channel=chat", "max=2")), executed(bob, "history", "completed",
			table("history", columns, row(2), mine)+"<note type='info'>2 of the 4 messages that /chat keeps</note>"))
		page, _ := w.broker.History(t.Context(), broker.Principal{}, "/chat", broker.Range{})
		w.executes(bob, executing("history", "", filling("channel=chat", "max=1", "after="+page.Messages[0].Position.String())), executed(bob, "history", "completed",
			table("history", columns, row(1))+"<note type='info'>1 of the 4 messages that /chat keeps</note>"))
		w.executes(bob, executing("history", "", filling("channel=/secret/x")), refusedCommand(bob, "cancel: forbidden", "the node is not open to you"))
		w.executes(bob, executing("history", "", filling("channel=/chat", "max=0")), refusedCommand(bob, "modify: bad-request + bad-payload", "max is a number from 1 to 500"))
		w.executes(bob, executing("history", "", filling("channel=/chat", "max=501")), refusedCommand(bob, "modify: bad-request + bad-payload", "max is a number from 1 to 500"))
		w.executes(bob, executing("history", "", filling("channel=/chat", "after=x")), refusedCommand(bob, "modify: bad-request + bad-payload", `"x" is not a position that this server gave out`))
		w.executes(bob, executing("history", "", filling("channel=/chat", "after=1-1")), noted(bob, "history", "error", "the item to continue from is gone"))

		w.subscribed(carol, "/chat", "carol@localhost")
		w.executes(bob, executing("remove", "", filling("channel=/chat", "id=mine")), noted(bob, "remove", "info", "removed mine from /chat"))
		w.gets(eventText("carol@localhost", "E", "/chat", "<retract id='mine'/>"))
		w.executes(bob, executing("remove", "", filling("channel=/chat", "id=mine")), noted(bob, "remove", "error", `channel /chat keeps no item "mine"`))
		w.executes(bob, executing("remove", "", filling("channel=/news/1", "id=mine")), refusedCommand(bob, "cancel: forbidden", "bob@localhost may not publish /news/1"))
	})
}

// A node's owner keeps out who comes by command as well.
func TestCommands_respect_nodes(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		w.creates(carol, "/mine", "access_model=whitelist")
		w.answers(carol, "set", publishing("/mine", item("1", "1")), published(carol, "/mine", "1"))
		w.executes(bob, executing("history", "", filling("channel=/mine")), refusedCommand(bob, "cancel: forbidden", "the node is not open to you"))
		w.executes(bob, executing("publish", "", filling("channel=/mine", "data=1")), refusedCommand(bob, "cancel: forbidden", "the node does not let you publish"))
		w.executes(bob, executing("remove", "", filling("channel=/mine", "id=1")), refusedCommand(bob, "cancel: forbidden", "the node does not let you publish"))
		w.creates(carol, "/full", "max_items=1", "publish_node_full=reject", "publish_model=open")
		w.executes(bob, executing("publish", "", filling("channel=/full", "data=1")), wasPublished(bob, "/full", "NEW"))
		w.executes(bob, executing("publish", "", filling("channel=/full", "data=1")), noted(bob, "publish", "error", "the node is full: items have to be removed first"))
		w.executes(bob, executing("channels", "", filling("max=5", "pattern=/mine")), executed(bob, "channels", "completed", table("channels", []string{"channel", "messages", "position"})+"<note type='info'>0 channels</note>"))
	})
}

func TestCommand_channels(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		for _, c := range []string{"/b", "/a/1", "/a/2", "/a/2", "/secret/1"} {
			w.publish(c, "1")
		}
		w.subscribed(carol, "/a/*", "carol@localhost")
		columns := []string{"channel", "messages", "position"}
		w.executes(bob, executing("channels", "", filling("max=2")), executed(bob, "channels", "completed",
			table("channels", columns, []string{"/a/1", "1", "P1"}, []string{"/a/2", "2", "P2"})+"<note type='info'>2 channels; more after /a/2</note>"))
		w.executes(bob, executing("channels", "", filling("after=/a/2")), executed(bob, "channels", "completed",
			table("channels", columns, []string{"/b", "1", "P1"})+"<note type='info'>1 channels</note>"))
		w.executes(alice, executing("channels", "", filling("pattern=/a/**")), executed(alice, "channels", "completed",
			table("channels", append(columns, "receivers"), []string{"/a/1", "1", "P1", "1"}, []string{"/a/2", "2", "P2", "1"})+"<note type='info'>2 channels</note>"))
	})
}

func TestCommand_sessions_close_stats(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		s := brokertest.Open(t, w.broker, broker.SessionOptions{Protocol: "test"})
		w.executes(alice, executing("sessions", "", filling("max=10")), executed(alice, "sessions", "completed",
			table("sessions", []string{"session", "protocol", "opened", "subscriptions", "waiting", "dropped"},
				[]string{"xmpp-1", "xmpp", "T", "0", "0", "0"}, []string{"test-2", "test", "T", "0", "0", "0"})+"<note type='info'>2 sessions, 0 more after them</note>"))
		w.executes(alice, executing("close", "", filling("session=xmpp-1")), noted(alice, "close", "error", "session xmpp-1 is a part of the server and cannot be ended"))
		w.executes(alice, executing("close", "", filling("session="+s.ID())), noted(alice, "close", "error", `there is no session "`+newIDs.ReplaceAllString(s.ID(), "NEW")+`"`))
		w.executes(alice, executing("close", "", filling("session=test-2")), noted(alice, "close", "info", "ended test-2"))
		if broker.KindOf(s.Err()) != broker.Closed {
			t.Errorf("the session: %v", s.Err())
		}
		if got := w.ask(alice, "set", executing("stats", "", "")); !strings.Contains(got, "<field var='sessions_xmpp' type='text-single'><value>1</value></field>") ||
			!strings.Contains(got, "status='completed'") {
			t.Error(got)
		}
	})
}

func TestCommand_reload_says_what_failed(t *testing.T) {
	fails := errors.New("line 7: what is this?")
	dialogue(t, func(o *setup) {
		managed(o)
		o.service.Reload = func(context.Context) error { return fails }
	}, func(w *world) {
		w.executes(alice, executing("reload", "", ""), noted(alice, "reload", "error", "nothing has changed: line 7: what is this?"))
		fails = nil
		w.executes(alice, executing("reload", "", ""), noted(alice, "reload", "info", "the configuration has been loaded"))
		w.executes(bob, executing("reload", "", ""), refusedCommand(bob, "cancel: forbidden", "the command is not for you"))
	})
}

func TestCommand_nodes_and_owner(t *testing.T) {
	dialogue(t, func(o *setup) { managed(o); o.service.MaxAffiliations = 2 }, func(w *world) {
		w.creates(carol, "/b", "access_model=whitelist")
		w.creates(bob, "/a")
		w.executes(alice, executing("nodes", "", filling("max=1")), executed(alice, "nodes", "completed",
			table("nodes", []string{"node", "created", "creator", "owners", "access_model", "subscribers"},
				[]string{"/a", "T", "bob@localhost", "bob@localhost", "open", "0"})+"<note type='info'>1 nodes, 1 more after them</note>"))
		session := w.executes(alice, executing("owner", "", filling("node=b")), executed(alice, "owner", "executing",
			"<actions execute='next'><next/></actions><x xmlns='jabber:x:data' type='form'><title>Give a node another owner</title>"+typeField("owner")+
				"<field var='node' type='text-single' label='Node'><required/><value>b</value></field></x>"))
		in := "sessionid='" + session + "'"
		w.executes(alice, executing("owner", in, filling("node=/c")), refusedCommand(alice, "modify: bad-request + bad-payload", "nobody has made /c a node of his own"))
		w.executes(alice, executing("owner", in, filling("node=/b")), executed(alice, "owner", "executing",
			"<actions execute='complete'><prev/><complete/></actions><x xmlns='jabber:x:data' type='form'><title>Give a node another owner</title>"+
				"<instructions>/b was created by carol@localhost and belongs to carol@localhost.</instructions>"+typeField("owner")+
				"<field var='jid' type='text-single' label='The new owner&apos;s JID'><required/></field>"+
				"<field var='instead' type='boolean' label='Instead of all owners that it has'><value>0</value></field></x>"))
		w.executes(alice, executing("owner", in, filling("jid=waft.localhost")), refusedCommand(alice, "modify: bad-request + bad-payload", `"waft.localhost" is not the JID of a user`))
		w.executes(alice, executing("owner", in, filling("jid=alice@localhost/x", "instead=1")), noted(alice, "owner", "info", "/b belongs to alice@localhost"))
		w.settings(alice, "/b", "access_model=whitelist")
		w.executes(alice, executing("owner", "", filling("node=/b", "jid=bob@localhost")), noted(alice, "owner", "info", "/b belongs to alice@localhost bob@localhost"))
		w.executes(alice, executing("owner", "", filling("node=/b", "jid=carol@localhost")), noted(alice, "owner", "error", "the node has as many affiliations as it can have"))
		w.restart()
		w.settings(bob, "/b", "access_model=whitelist")
	})
}

// A table is cut to what one stanza holds.
func TestCommand_output_fits_a_stanza(t *testing.T) {
	dialogue(t, func(o *setup) { managed(o); o.service.Link.MaxOutStanza = 4 << 10 }, func(w *world) {
		for range 4 {
			w.publish("/chat", `"`+strings.Repeat("&", 200)+`"`) // five times as long in XML
		}
		got := w.ask(bob, "set", executing("history", "", filling("channel=chat")))
		if strings.Count(got, "<item>") != 1 || !strings.Contains(got, "keeps (cut after 1: the answer would be too big)</note>") {
			t.Error(got)
		}
	})
}

// XEP-0060 §8.7.
func TestCommand_get_pending(t *testing.T) {
	const node = "http://jabber.org/protocol/pubsub#get-pending"
	pending := func(attributes, inside string) string {
		return strings.Replace(executing("x", attributes, inside), "waft#x", node, 1)
	}
	answered := func(to, status, inside string) string {
		return strings.Replace(executed(to, "x", status, inside), "waft#x", node, 1)
	}
	dialogue(t, managed, func(w *world) {
		w.creates(carol, "/a", "access_model=authorize")
		w.creates(carol, "/b", "access_model=authorize")
		form := func(instructions, options string) string {
			return "<actions execute='complete'><complete/></actions><x xmlns='jabber:x:data' type='form'><title>Be sent the requests to subscribe that wait</title>" + instructions +
				"<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_authorization</value></field>" +
				"<field var='pubsub#node' type='list-single' label='Node'><required/>" + options + "</field></x>"
		}
		w.executes(carol, pending("", ""), answered(carol, "executing", form("<instructions>No request waits for you.</instructions>", "")))
		w.petitions(bob, "/a", "bob@localhost")
		w.stanza()
		session := w.executes(carol, pending("", ""), answered(carol, "executing", form("", "<option><value>/a</value></option>")))
		in := "sessionid='" + session + "'"
		w.send(iq(carol, "set", pending(in, "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_authorization</value></field>"+
			"<field var='pubsub#node'><value>/a</value></field></x>")))
		w.gets(requestTo("carol@localhost", "bob@localhost", "/a"),
			strings.Replace(answered(carol, "completed", ""), "sessionid='S'", in, 1))
		w.executes(bob, pending("", filling("pubsub#node=/a")), refusedCommand(bob, "cancel: forbidden", notOwner))
		w.executes(bob, pending("", filling("pubsub#node=/x")), strings.Replace(noted(bob, "x", "error", noNode), "waft#x", node, 1))
		w.answers(carol, "get", info(node), result(carol, "<query xmlns='"+infoNS+"' node='"+node+"'><identity category='automation' type='command-node'"+
			" name='Be sent the requests to subscribe that wait'/><feature var='"+infoNS+"'/><feature var='"+itemsNS+"'/><feature var='"+commandsNS+"'/><feature var='jabber:x:data'/></query>"))
	})
}
