package xmpp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// nodeCommands administer the nodes that somebody has made his own, beyond what their owners can do by XEP-0060 §8.
var nodeCommands = []*command{{
	name: "nodes", title: "List nodes and their owners", admin: true, do: (*Service).apiNodes,
	stages: [][]param{{
		{name: "max", label: "Nodes at most", def: "100"},
		{name: "after", label: "Only after this node"},
	}},
}, {
	name: "owner", title: "Give a node another owner", admin: true, do: (*Service).apiOwner, look: (*Service).lookAtNode,
	stages: [][]param{
		{{name: "node", label: "Node", required: true}},
		{
			{name: "jid", label: "The new owner's JID", required: true},
			{name: "instead", label: "Instead of all owners that it has", typ: "boolean", def: "0"},
		},
	},
}}

// pendingCommand is for owners: to be sent again what waits for their decision (XEP-0060 §8.7).
var pendingCommand = &command{
	name: "get-pending", known: pubsub.NS + "#get-pending", form: formAuthorization,
	title: "Be sent the requests to subscribe that wait", do: (*Service).apiPending, look: (*Service).lookAtPending,
	stages: [][]param{{{
		name: "pubsub#node", label: "Node", typ: "list-single", required: true,
		options: func(s *Service, c *call) []string { return s.nodesWithPending(c.user) },
	}}},
}

func (s *Service) lookAtPending(_ context.Context, c *call, _ int) (string, error) {
	if len(s.nodesWithPending(c.user)) == 0 {
		return "No request waits for you.", nil
	}
	return "", nil
}

func (s *Service) apiPending(ctx context.Context, c *call) error {
	return s.sendPending(ctx, c.who, c.user, c.word("pubsub#node"))
}

func (s *Service) apiNodes(_ context.Context, c *call) error {
	most, err := c.limit("max", 100, s.opts.MaxPage)
	if err != nil {
		return err
	}
	after := broker.Channel("")
	if c.word("after") != "" {
		if after, err = c.channel("after"); err != nil {
			return err
		}
	}
	list := s.nodes.all(func(l *leaf) bool { return l.Channel > after })
	slices.SortFunc(list, func(a, b *leaf) int { return strings.Compare(string(a.Channel), string(b.Channel)) })
	more := max(len(list)-most, 0)
	c.shown.columns = []string{"node", "created", "creator", "owners", "access_model", "subscribers"}
	for _, l := range list[:len(list)-more] {
		c.row(string(l.Channel), stampOf(l.Created), l.Creator, join(l.ownerList()), l.Config.AccessModel,
			strconv.Itoa(len(s.audience.to(broker.Pattern(l.Channel)))))
	}
	c.says("%d nodes, %d more after them", len(c.shown.rows), more)
	return nil
}

// managed finds a node for somebody who manages its channel.
func (s *Service) managed(ctx context.Context, c *call) (*leaf, error) {
	ch, err := c.channel("node")
	if err != nil {
		return nil, err
	}
	if err := s.broker.May(ctx, c.who, broker.ActManage, broker.Pattern(ch)); err != nil {
		return nil, err
	}
	l := s.nodes.get(ch)
	if l == nil {
		return nil, errNoNode.saying(fmt.Sprintf("nobody has made %s a node of his own", ch))
	}
	return l, nil
}

// lookAtNode says whose the node is before another owner is chosen.
func (s *Service) lookAtNode(ctx context.Context, c *call, stage int) (string, error) {
	if stage == 0 {
		return "", nil
	}
	l, err := s.managed(ctx, c)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was created by %s and belongs to %s.", l.Channel, l.Creator, join(l.ownerList())), nil
}

// apiOwner makes somebody an owner of a node: those it has may have lost their accounts.
func (s *Service) apiOwner(ctx context.Context, c *call) error {
	l, err := s.managed(ctx, c)
	if err != nil {
		return err
	}
	j, err := userJID(c.word("jid"))
	if err != nil {
		return err
	}
	l, err = s.nodes.update(ctx, l.Channel, func(l *leaf) error {
		if c.flag("instead") {
			for user, a := range l.Affiliations {
				if a == affOwner {
					delete(l.Affiliations, user)
				}
			}
		}
		if _, had := l.Affiliations[j]; !had && len(l.Affiliations) >= s.opts.MaxAffiliations {
			return errTooManyAffiliations
		}
		l.Affiliations[j] = affOwner
		return nil
	})
	if err != nil {
		return err
	}
	s.evict(c.request, l)
	c.says("%s belongs to %s", l.Channel, join(l.ownerList()))
	return nil
}

// userJID reads the bare JID of a user, in its normal form.
func userJID(text string) (string, error) {
	j, err := jid.Parse(text)
	if err != nil || j.Localpart() == "" {
		return "", errBadPayload.saying(broker.Quote(text) + " is not the JID of a user")
	}
	return j.Bare().String(), nil
}
