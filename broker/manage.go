package broker

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// everything is what somebody manages who manages a realm.
const everything = "/**"

// SessionInfo describes a living session to somebody who manages the realm. It holds no secret.
type SessionInfo struct {
	Label         string // what EndSession takes
	Protocol      string
	Opened        time.Time
	Subscriptions int
	Pending       int    // deliveries that wait for it
	Dropped       uint64 // deliveries that gave way in its queue
	Fixture       bool   // a part of the server
}

// ListSessions lists the living sessions in the order they were opened: those after the one of that label ("": from the
// first), at most limit of them (0: all), and how many follow those. The session of the label may have ended meanwhile.
// It asks for ActManage. Errors: Invalid, the Authorizer's.
func (b *Broker) ListSessions(ctx context.Context, who Principal, after string, limit int) (page []SessionInfo, more int, err error) {
	if err := b.authorize(ctx, who, ActManage, everything); err != nil {
		return nil, 0, err
	}
	var from uint64
	if after != "" {
		if from, err = strconv.ParseUint(after[strings.LastIndexByte(after, '-')+1:], 10, 64); err != nil {
			return nil, 0, Errorf(Invalid, "%s is not the label of a session", Quote(after))
		}
	}
	list := slices.DeleteFunc(b.Sessions(), func(s *Session) bool { return s.serial <= from })
	slices.SortFunc(list, func(s, t *Session) int { return cmp.Compare(s.serial, t.serial) })
	if limit > 0 && len(list) > limit {
		more = len(list) - limit
		list = list[:limit]
	}
	for _, s := range list {
		page = append(page, s.info())
	}
	return page, more, nil
}

func (s *Session) info() SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionInfo{
		Label: s.Label(), Protocol: s.opts.Protocol, Opened: s.Opened(), Fixture: s.opts.Fixture,
		Subscriptions: s.subs.len(), Pending: s.queue.len(), Dropped: s.dropped.Load(),
	}
}

var errEnded = &Error{Kind: Closed, Text: "the session was ended by somebody who manages the server"}

// EndSession ends the session of a label; its reader is told in its protocol's words, and may open another. It asks for
// ActManage. Errors: NotFound, Conflict for a part of the server (SessionOptions.Fixture), the Authorizer's.
func (b *Broker) EndSession(ctx context.Context, who Principal, label string) error {
	if err := b.authorize(ctx, who, ActManage, everything); err != nil {
		return err
	}
	list := b.Sessions()
	i := slices.IndexFunc(list, func(s *Session) bool { return s.Label() == label })
	switch {
	case i < 0:
		return Errorf(NotFound, "there is no session %s", Quote(label))
	case list[i].opts.Fixture:
		return Errorf(Conflict, "session %s is a part of the server and cannot be ended", label)
	}
	list[i].Close(errEnded)
	return nil
}
