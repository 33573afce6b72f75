package xmpp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"waft/broker"
	"waft/xmpp/component"
)

// Options configure a [Service]. Broker and Link's Domain, Server and Secret are required; zero anywhere else means
// the default.
type Options struct {
	Broker *broker.Broker

	// Principal says what the user of a bare JID may do. The JID is vouched for by the server behind the link and in the
	// normal form of RFC 7622. It must not block. nil: everybody is anonymous.
	Principal func(bareJID string) broker.Principal

	// Link is the connection to the XMPP server. Handler, Up, Down and Writable are set by the service; a nil Logger
	// becomes the service's.
	Link component.Options

	Name    string // in service discovery and XEP-0092; default "waft"
	Version string // in XEP-0092; default "unknown"

	// Limits on publishing. What XML makes of a payload can be bigger than its JSON ("<" becomes "&lt;"); a message that
	// outgrows Link.MaxOutStanza is announced without its payload.
	MaxPayload int // bytes of one item's compact JSON; default 128 KiB
	MaxItems   int // items in one publish; default 100

	// Limits on subscribing.
	MaxSubscriptions      int // of one bare JID and its resources; default 1,000
	MaxTotalSubscriptions int // of all together; default 100,000
	MaxPending            int // that wait for the owners of one node; default 1,000. They count in the other two as well

	// Store keeps what must outlast Run: nodes that somebody has made his own, and the subscriptions of bare JIDs. Several
	// services may share it, each under its own domain. nil: a broker.MemoryStore of the service's own.
	Store broker.Store

	// Limits on nodes that somebody has made his own. Channels without an owner do not count.
	MaxNodes        int // created by one bare JID; default 100
	MaxTotalNodes   int // of all together; default 10,000
	MaxAffiliations int // of one node, the owners included; default 1,000
	MaxNodeItems    int // the most that max_items can be; default 10,000
	MaxTitle        int // bytes of a node's title; default 256
	MaxDescription  int // bytes of a node's description; default 2,048

	// Limits on the presence that is noted: of who tells the service that he is online, whether he has subscribed or not.
	MaxResources int // of one bare JID; default 32
	MaxPresences int // of all together; default 100,000

	// PresenceOf tells whose presence a channel tells, if it does: who may not read that one as a node does not hear of it. It must
	// not block. nil: none does.
	PresenceOf func(broker.Channel) (of broker.Channel, ok bool)

	// Authenticator verifies the token that somebody brings to become an admin (admin-add). nil: nobody can that way.
	Authenticator broker.Authenticator

	// Mint makes a token for somebody who manages the realm. It must give it no right that who lacks. nil: there is no such
	// command.
	Mint func(who broker.Principal, t TokenRequest) (string, error)

	// Reload loads the program's configuration anew, or changes nothing and says why. nil: there is no such command.
	Reload func(context.Context) error

	// Stanzas lets items that come through other doors carry XMPP messages ([Service.Stanza]); the first rule that matches a
	// channel decides. Without rules none may.
	Stanzas []StanzaRule

	// Limits on the API by stanza.
	MaxCommands      int           // open at a time, of one bare JID; default 10
	MaxTotalCommands int           // of all together; default 1,000
	CommandTTL       time.Duration // how long one stays open when nothing comes; default 10 minutes
	MaxAdmins        int           // made by stanza; default 100
	MaxTokenLifetime time.Duration // of a token that Mint is asked for; default 24 hours
	ChatRate         int           // answers in chats to one bare JID in a minute; default 30
	RequestRate      int           // requests to subscribe that one bare JID may put before owners in a minute; default 30

	MaxPage int // entries of one answer to disco#items or items; default 500. More are had by paging (XEP-0059)

	// What may wait for a link that is down or slow. Beyond it the oldest messages give way and are counted.
	QueueMessages int // default 100,000
	QueueBytes    int // by broker.Message.Size; default 64 MiB

	MaxAnnouncements int // recipients of announcements (a node was deleted…) that may wait for the link; default 100,000

	// One bare JID may send so many stanzas at once, and that many a second; what comes above that is answered with an error,
	// or passed over if it is no request.
	SenderRate  int // default 200
	SenderBurst int // default 1,000
	MaxSenders  int // whose rate is known at a time; beyond it somebody's begins anew. Default 100,000

	// Requests wait for a worker each in its sender's order. One sender gets at most a quarter of a worker's inbox.
	Workers    int // default GOMAXPROCS, at most 8
	InboxSize  int // stanzas waiting for one worker; default 4,096
	InboxBytes int // of memory, roughly, that they take; default 16 MiB

	Logger *slog.Logger // default Link.Logger, or slog.Default()
}

// withDefaults returns o completed and checked.
func (o Options) withDefaults() (Options, error) {
	if o.Broker == nil {
		return o, errors.New("xmpp: no broker to publish to")
	}
	if o.Principal == nil {
		o.Principal = func(string) broker.Principal { return broker.Principal{} }
	}
	for _, f := range []struct {
		name string
		n    *int
		def  int
	}{
		{"MaxPayload", &o.MaxPayload, 128 << 10},
		{"MaxItems", &o.MaxItems, 100},
		{"MaxSubscriptions", &o.MaxSubscriptions, 1_000},
		{"MaxTotalSubscriptions", &o.MaxTotalSubscriptions, 100_000},
		{"MaxPending", &o.MaxPending, 1_000},
		{"MaxNodes", &o.MaxNodes, 100},
		{"MaxTotalNodes", &o.MaxTotalNodes, 10_000},
		{"MaxAffiliations", &o.MaxAffiliations, 1_000},
		{"MaxNodeItems", &o.MaxNodeItems, 10_000},
		{"MaxTitle", &o.MaxTitle, 256},
		{"MaxDescription", &o.MaxDescription, 2_048},
		{"MaxResources", &o.MaxResources, 32},
		{"MaxPresences", &o.MaxPresences, 100_000},
		{"MaxCommands", &o.MaxCommands, 10},
		{"MaxTotalCommands", &o.MaxTotalCommands, 1_000},
		{"MaxAdmins", &o.MaxAdmins, 100},
		{"ChatRate", &o.ChatRate, 30},
		{"RequestRate", &o.RequestRate, 30},
		{"MaxPage", &o.MaxPage, 500},
		{"QueueMessages", &o.QueueMessages, 100_000},
		{"QueueBytes", &o.QueueBytes, 64 << 20},
		{"MaxAnnouncements", &o.MaxAnnouncements, 100_000},
		{"SenderRate", &o.SenderRate, 200},
		{"SenderBurst", &o.SenderBurst, 1_000},
		{"MaxSenders", &o.MaxSenders, 100_000},
		{"Workers", &o.Workers, min(runtime.GOMAXPROCS(0), 8)},
		{"InboxSize", &o.InboxSize, 4_096},
		{"InboxBytes", &o.InboxBytes, 16 << 20},
	} {
		if *f.n < 0 {
			return o, fmt.Errorf("xmpp: %s is negative", f.name)
		}
		if *f.n == 0 {
			*f.n = f.def
		}
	}
	if o.CommandTTL < 0 || o.MaxTokenLifetime < 0 {
		return o, errors.New("xmpp: a duration is negative")
	}
	o.CommandTTL = cmp.Or(o.CommandTTL, 10*time.Minute)
	o.MaxTokenLifetime = cmp.Or(o.MaxTokenLifetime, 24*time.Hour)
	if o.Store == nil {
		o.Store = broker.NewMemoryStore()
	}
	if o.Link.MaxOutStanza == 0 {
		o.Link.MaxOutStanza = 480 << 10 // the link's own default, which answers are measured by
	}
	o.Name, o.Version = cmp.Or(o.Name, "waft"), cmp.Or(o.Version, "unknown")
	o.Logger = cmp.Or(o.Logger, o.Link.Logger, slog.Default())
	o.Link.Logger = cmp.Or(o.Link.Logger, o.Logger)
	return o, nil
}
