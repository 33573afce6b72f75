package xmpp

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"waft/broker"
)

// TokenRequest is what somebody wants a token to say.
type TokenRequest struct {
	Subject                  string
	Lifetime                 time.Duration
	Publish, Subscribe, Read []broker.Pattern
	Manage                   bool
}

// realmCommands are for those who manage the realm.
var realmCommands = []*command{{
	name: "sessions", title: "List sessions", admin: true, do: (*Service).apiSessions,
	stages: [][]param{{
		{name: "max", label: "Sessions at most", def: "100"},
		{name: "after", label: "Only after this session"},
	}},
}, {
	name: "close", title: "End a session", admin: true, do: (*Service).apiClose,
	stages: [][]param{{{name: "session", label: "Label of the session", required: true}}},
}, {
	name: "stats", title: "Show the realm's numbers", admin: true, do: (*Service).apiStats,
}, {
	name: "token", title: "Make a token", admin: true, do: (*Service).apiToken,
	offered: func(s *Service) bool { return s.opts.Mint != nil },
	stages: [][]param{{
		{name: "subject", label: "Who holds it"},
		{name: "lifetime", label: "How long it is good (90s, 15m, 24h)", def: "1h"},
	}, {
		{name: "publish", label: "Patterns to publish to", typ: "text-multi"},
		{name: "subscribe", label: "Patterns to subscribe to", typ: "text-multi"},
		{name: "read", label: "Patterns to read the history of", typ: "text-multi"},
		{name: "manage", label: "Manage the realm", typ: "boolean", def: "0"},
	}},
}, {
	name: "reload", title: "Load the configuration anew", admin: true, do: (*Service).apiReload,
	offered: func(s *Service) bool { return s.opts.Reload != nil },
}}

func (s *Service) apiSessions(ctx context.Context, c *call) error {
	most, err := c.limit("max", 100, s.opts.MaxPage)
	if err != nil {
		return err
	}
	list, more, err := s.broker.ListSessions(ctx, c.who, c.word("after"), most)
	if err != nil {
		return err
	}
	c.shown.columns = []string{"session", "protocol", "opened", "subscriptions", "waiting", "dropped"}
	for _, i := range list {
		c.row(i.Label, i.Protocol, stampOf(i.Opened), strconv.Itoa(i.Subscriptions), strconv.Itoa(i.Pending), strconv.FormatUint(i.Dropped, 10))
	}
	c.says("%d sessions, %d more after them", len(list), more)
	return nil
}

func (s *Service) apiClose(ctx context.Context, c *call) error {
	if err := s.broker.EndSession(ctx, c.who, c.word("session")); err != nil {
		return err
	}
	c.says("ended %s", c.word("session"))
	return nil
}

// apiStats shows the broker's numbers. That who asks manages the realm has been asked.
func (s *Service) apiStats(_ context.Context, c *call) error {
	st := s.broker.Stats()
	sessions, lost := 0, uint64(0)
	for _, n := range st.Sessions {
		sessions += n
	}
	for _, n := range st.Lost {
		lost += n
	}
	for _, v := range []struct {
		name string
		n    uint64
	}{
		{"published", st.Published},
		{"duplicates", st.Duplicates},
		{"removed", st.Removed},
		{"delivered", st.Delivered},
		{"lost", lost},
		{"channels", uint64(st.Engine.Channels)},
		{"messages", uint64(st.Engine.Messages)},
		{"bytes", uint64(st.Engine.Bytes)},
		{"subscriptions", uint64(st.Subscriptions)},
		{"sessions", uint64(sessions)},
	} {
		c.value(v.name, strconv.FormatUint(v.n, 10))
	}
	for _, protocol := range slices.Sorted(maps.Keys(st.Sessions)) {
		c.value("sessions_"+protocol, strconv.Itoa(st.Sessions[protocol]))
	}
	return nil
}

// apiToken makes a token. What it may do must be said: forgetting it must not make a token for everything.
func (s *Service) apiToken(_ context.Context, c *call) error {
	lifetime, err := time.ParseDuration(cmp.Or(c.word("lifetime"), "1h"))
	switch {
	case err != nil || lifetime <= 0:
		return errBadPayload.saying("lifetime is a duration such as 90s, 15m or 24h")
	case lifetime > s.opts.MaxTokenLifetime:
		return errBadPayload.saying(fmt.Sprintf("lifetime is at most %v", s.opts.MaxTokenLifetime))
	case !c.who.Expires.IsZero() && time.Now().Add(lifetime).After(c.who.Expires):
		return errBadPayload.saying("the token would outlive your own rights")
	}
	want := TokenRequest{Subject: c.word("subject"), Lifetime: lifetime, Manage: c.flag("manage")}
	for _, list := range []struct {
		name string
		to   *[]broker.Pattern
	}{{"publish", &want.Publish}, {"subscribe", &want.Subscribe}, {"read", &want.Read}} {
		for _, text := range c.list(list.name) {
			p, err := broker.ParsePatternName(text)
			if err != nil {
				return err
			}
			*list.to = append(*list.to, p)
		}
	}
	if len(want.Publish)+len(want.Subscribe)+len(want.Read) == 0 && !want.Manage {
		return errBadPayload.saying("say what the token may do: publish, subscribe, read or manage")
	}
	token, err := s.opts.Mint(c.who, want)
	if err != nil {
		return err
	}
	c.value("token", token)
	c.shown.secret = true
	c.says("good for %v", lifetime)
	return nil
}

func (s *Service) apiReload(ctx context.Context, c *call) error {
	if err := s.opts.Reload(ctx); err != nil {
		// Who manages may read why, whatever kind of error it is: the configuration is his.
		return errReload.saying("nothing has changed: " + err.Error())
	}
	c.says("the configuration has been loaded")
	return nil
}
