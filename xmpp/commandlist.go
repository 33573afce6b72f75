package xmpp

import (
	"context"
	"slices"
	"strings"

	"mellium.im/xmpp/disco"
)

// isCommandNode tells a name of service discovery that means commands (XEP-0050 §2.2), not a channel.
func isCommandNode(name string) bool {
	return name == nsCommands || strings.HasPrefix(name, commandPrefix) || name == pendingCommand.known
}

// listed finds a command that the requester may know of.
func (s *Service) listed(ctx context.Context, r *request, node string) (*command, error) {
	for _, cmd := range s.commandsOf(ctx, r.who) {
		if cmd.node() == node {
			return cmd, nil
		}
	}
	return nil, errNoCommand
}

// commandInfo describes the list of commands, or one.
func (s *Service) commandInfo(ctx context.Context, r *request, node string) error {
	typ, title := "command-list", "Commands"
	if node != nsCommands {
		cmd, err := s.listed(ctx, r, node)
		if err != nil {
			return err
		}
		typ, title = "command-node", cmd.title
	}
	r.out = append(attr(r.out, "node", node), "><identity category='automation'"...)
	r.out = append(attr(attr(r.out, "type", typ), "name", title), "/>"...)
	r.out = append(append(r.out, commandFeatures...), "</query>"...)
	return nil
}

// commandFeatures is what disco#info says of a command.
var commandFeatures = appendFeatures(nil, disco.NSInfo, disco.NSItems, nsCommands, nsForm)

// discoCommands lists the commands that the requester may know of. A command has nothing below it.
func (s *Service) discoCommands(ctx context.Context, r *request, node string, set limits) error {
	var list []*command
	if node == nsCommands {
		list = s.commandsOf(ctx, r.who)
	} else if _, err := s.listed(ctx, r, node); err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b *command) int { return strings.Compare(a.node(), b.node()) })
	from, to := set.window(len(list), func(i int) string { return list[i].node() })
	r.out = append(r.out, '>')
	for _, cmd := range list[from:to] {
		r.out = attr(append(r.out, "<item"...), "jid", s.domain)
		r.out = attr(attr(r.out, "node", cmd.node()), "name", cmd.title)
		r.out = append(r.out, "/>"...)
	}
	if set.asked {
		page := window{total: len(list), index: from, count: to - from}
		if to > from {
			page.first, page.last = list[from].node(), list[to-1].node()
		}
		r.out = page.append(r.out)
	}
	return nil
}
