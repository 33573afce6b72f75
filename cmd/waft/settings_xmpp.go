package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"waft/broker"
	"waft/xmpp"
	"waft/xmpp/component"
)

// xmppSettings is one link to an XMPP server (XEP-0114). Absent, nothing of XMPP runs.
type xmppSettings struct {
	Domain string `toml:"domain"` // the component's own, as the server knows it
	Server string `toml:"server"` // host:port of the server's component port
	secretSettings
	Host  string         `toml:"host"` // that pings go to; default: domain without its first label
	Users []userSettings `toml:"user"`

	Stanzas []stanzaSettings `toml:"stanza"`

	// Limits on publishing and subscribing.
	MaxPayload            int `toml:"max_payload"`             // bytes of one item's JSON; default 131072
	MaxItems              int `toml:"max_items"`               // items in one publish; default 100
	MaxSubscriptions      int `toml:"max_subscriptions"`       // of one bare JID and its resources; default 1000
	MaxTotalSubscriptions int `toml:"max_total_subscriptions"` // of all together; default 100000
	MaxPending            int `toml:"max_pending"`             // that wait for the owners of one node; default 1000
	MaxResources          int `toml:"max_resources"`           // of one bare JID that are noted as online; default 32
	MaxPresences          int `toml:"max_presences"`           // of all together; default 100000
	MaxPage               int `toml:"max_page"`                // entries of one answer; default 500

	// Limits on nodes that somebody has made his own.
	MaxNodes        int `toml:"max_nodes"`        // created by one bare JID; default 100
	MaxTotalNodes   int `toml:"max_total_nodes"`  // of all together; default 10000
	MaxAffiliations int `toml:"max_affiliations"` // of one node; default 1000
	MaxNodeItems    int `toml:"max_node_items"`   // the most that a node's max_items can be; default 10000
	MaxTitle        int `toml:"max_title"`        // bytes of a node's title; default 256
	MaxDescription  int `toml:"max_description"`  // bytes of its description; default 2048

	// Limits on the API by stanza.
	MaxCommands      int      `toml:"max_commands"`       // open at a time, of one bare JID; default 10
	MaxTotalCommands int      `toml:"max_total_commands"` // of all together; default 1000
	CommandTTL       duration `toml:"command_ttl"`        // how long one stays open when nothing comes; default 10m
	MaxAdmins        int      `toml:"max_admins"`         // made by stanza; default 100
	MaxTokenLifetime duration `toml:"max_token_lifetime"` // of a token made by stanza; default 24h
	ChatRate         int      `toml:"chat_rate"`          // answers in chats to one bare JID in a minute; default 30
	RequestRate      int      `toml:"request_rate"`       // requests to subscribe that one bare JID may put before owners in a minute; default 30

	// What may wait: messages for a link that is down or slow, and requests for a worker.
	QueueMessages    int `toml:"queue_messages"`    // beyond it the oldest give way; default 100000
	QueueBytes       int `toml:"queue_bytes"`       // bytes of them, likewise; default 67108864
	MaxAnnouncements int `toml:"max_announcements"` // recipients of announcements that may wait; default 100000
	SenderRate       int `toml:"sender_rate"`       // stanzas a second from one bare JID; default 200
	SenderBurst      int `toml:"sender_burst"`      // at once; default 1000
	MaxSenders       int `toml:"max_senders"`       // whose rate is known at a time; default 100000
	Workers          int `toml:"workers"`           // default one for each core, at most 8
	InboxSize        int `toml:"inbox_size"`        // requests that wait for one worker; default 4096
	InboxBytes       int `toml:"inbox_bytes"`       // bytes of memory that they take, roughly; default 16777216

	// Limits on one stanza from the server; beyond them it is answered with an error.
	MaxStanza     int `toml:"max_stanza"`     // bytes; default 1048576
	MaxDepth      int `toml:"max_depth"`      // levels of elements; default 64
	MaxElements   int `toml:"max_elements"`   // default 10000
	MaxAttributes int `toml:"max_attributes"` // of one element; default 128
	MaxAttribute  int `toml:"max_attribute"`  // bytes of one attribute; default 65536

	// Limits on what is sent.
	MaxOutStanza int `toml:"max_out_stanza"` // bytes; default 491520, below what Prosody takes
	MaxOutbound  int `toml:"max_outbound"`   // bytes waiting for the server; default 8388608
	FenceWindow  int `toml:"fence_window"`   // events kept until the server is known to have read them; default 1000

	DialTimeout      duration `toml:"dial_timeout"`      // default 10s
	HandshakeTimeout duration `toml:"handshake_timeout"` // default 10s
	WriteTimeout     duration `toml:"write_timeout"`     // default 20s
	RequestTimeout   duration `toml:"request_timeout"`   // default 30s
	CloseTimeout     duration `toml:"close_timeout"`     // default 5s
	PingInterval     duration `toml:"ping_interval"`     // of silence, before a ping; default 30s
	PingTimeout      duration `toml:"ping_timeout"`      // of silence after it, before the link is dropped; default 20s
	ReconnectMin     duration `toml:"reconnect_min"`     // default 500ms
	ReconnectMax     duration `toml:"reconnect_max"`     // default 30s
	SlowMin          duration `toml:"slow_min"`          // after a failure that a person must mend; default 30s
	SlowMax          duration `toml:"slow_max"`          // likewise; default 60s
}

// stanzaSettings lets items of channels carry XMPP messages (format xmpp-stanza of the publish API).
type stanzaSettings struct {
	Match string   `toml:"match"` // pattern of channels
	To    []string `toml:"to"`    // "alice@example.org", "@example.org" or "*"
}

// stanzas reads the rules.
func (x *xmppSettings) stanzas() ([]xmpp.StanzaRule, error) {
	var rules []xmpp.StanzaRule
	for i, r := range x.Stanzas {
		match, err := broker.ParsePattern(r.Match)
		if err != nil {
			return nil, fmt.Errorf("stanza %d: match: %w", i+1, err)
		}
		for _, to := range r.To {
			if local, domain, ok := strings.Cut(to, "@"); to != "*" && (!ok || domain == "" || strings.ContainsAny(local+domain, "@/ ")) {
				return nil, fmt.Errorf("stanza %d: to: %q is neither a bare JID, \"@domain\" nor \"*\"", i+1, to)
			}
		}
		rules = append(rules, xmpp.StanzaRule{Match: match, To: r.To})
	}
	return rules, nil
}

func (x *xmppSettings) complete() {
	for i := range x.Users {
		x.Users[i].complete()
	}
	fill(&x.MaxPayload, 128<<10)
	fill(&x.MaxItems, 100)
	fill(&x.MaxSubscriptions, 1_000)
	fill(&x.MaxTotalSubscriptions, 100_000)
	fill(&x.MaxPending, 1_000)
	fill(&x.MaxResources, 32)
	fill(&x.MaxPresences, 100_000)
	fill(&x.MaxPage, 500)
	fill(&x.MaxNodes, 100)
	fill(&x.MaxTotalNodes, 10_000)
	fill(&x.MaxAffiliations, 1_000)
	fill(&x.MaxNodeItems, 10_000)
	fill(&x.MaxTitle, 256)
	fill(&x.MaxDescription, 2_048)
	fill(&x.MaxCommands, 10)
	fill(&x.MaxTotalCommands, 1_000)
	fill(&x.CommandTTL, duration{10 * time.Minute})
	fill(&x.MaxAdmins, 100)
	fill(&x.MaxTokenLifetime, duration{24 * time.Hour})
	fill(&x.ChatRate, 30)
	fill(&x.RequestRate, 30)
	fill(&x.QueueMessages, 100_000)
	fill(&x.QueueBytes, 64<<20)
	fill(&x.MaxAnnouncements, 100_000)
	fill(&x.SenderRate, 200)
	fill(&x.SenderBurst, 1_000)
	fill(&x.MaxSenders, 100_000)
	fill(&x.Workers, min(runtime.GOMAXPROCS(0), 8))
	fill(&x.InboxSize, 4_096)
	fill(&x.InboxBytes, 16<<20)
	fill(&x.MaxStanza, 1<<20)
	fill(&x.MaxDepth, 64)
	fill(&x.MaxElements, 10_000)
	fill(&x.MaxAttributes, 128)
	fill(&x.MaxAttribute, 64<<10)
	fill(&x.MaxOutStanza, 480<<10)
	fill(&x.MaxOutbound, 8<<20)
	fill(&x.FenceWindow, 1_000)
	fill(&x.DialTimeout, duration{10 * time.Second})
	fill(&x.HandshakeTimeout, duration{10 * time.Second})
	fill(&x.WriteTimeout, duration{20 * time.Second})
	fill(&x.RequestTimeout, duration{30 * time.Second})
	fill(&x.CloseTimeout, duration{5 * time.Second})
	fill(&x.PingInterval, duration{30 * time.Second})
	fill(&x.PingTimeout, duration{20 * time.Second})
	fill(&x.ReconnectMin, duration{500 * time.Millisecond})
	fill(&x.ReconnectMax, duration{max(30*time.Second, x.ReconnectMin.Duration)})
	fill(&x.SlowMin, duration{30 * time.Second})
	fill(&x.SlowMax, duration{max(60*time.Second, x.SlowMin.Duration)})
}

// options are those of the service.
func (x *xmppSettings) options(to *broker.Broker, store broker.Store, who func(bareJID string) broker.Principal, key secret, logger *slog.Logger) xmpp.Options {
	return xmpp.Options{
		Broker: to, Store: store, Principal: who, Link: x.link(key), Logger: logger, Version: versionText(),
		MaxPayload: x.MaxPayload, MaxItems: x.MaxItems,
		MaxSubscriptions: x.MaxSubscriptions, MaxTotalSubscriptions: x.MaxTotalSubscriptions, MaxPage: x.MaxPage,
		MaxNodes: x.MaxNodes, MaxTotalNodes: x.MaxTotalNodes, MaxAffiliations: x.MaxAffiliations,
		MaxNodeItems: x.MaxNodeItems, MaxTitle: x.MaxTitle, MaxDescription: x.MaxDescription,
		MaxPending:   x.MaxPending,
		MaxResources: x.MaxResources,
		MaxPresences: x.MaxPresences,
		SenderRate:   x.SenderRate,
		SenderBurst:  x.SenderBurst,
		MaxSenders:   x.MaxSenders,
		MaxCommands:  x.MaxCommands, MaxTotalCommands: x.MaxTotalCommands, CommandTTL: x.CommandTTL.Duration,
		MaxAdmins: x.MaxAdmins, MaxTokenLifetime: x.MaxTokenLifetime.Duration, ChatRate: x.ChatRate, RequestRate: x.RequestRate,
		QueueMessages: x.QueueMessages, QueueBytes: x.QueueBytes, MaxAnnouncements: x.MaxAnnouncements,
		Workers: x.Workers, InboxSize: x.InboxSize, InboxBytes: x.InboxBytes,
	}
}

// link is the connection to the server.
func (x *xmppSettings) link(key secret) component.Options {
	return component.Options{
		Domain: x.Domain, Server: x.Server, Secret: key.reveal(), Host: x.Host,
		MaxStanza: x.MaxStanza, MaxDepth: x.MaxDepth, MaxElements: x.MaxElements,
		MaxAttributes: x.MaxAttributes, MaxAttribute: x.MaxAttribute,
		FenceWindow:  x.FenceWindow,
		MaxOutStanza: x.MaxOutStanza, MaxOutbound: x.MaxOutbound,
		DialTimeout:      x.DialTimeout.Duration,
		HandshakeTimeout: x.HandshakeTimeout.Duration,
		WriteTimeout:     x.WriteTimeout.Duration,
		RequestTimeout:   x.RequestTimeout.Duration,
		CloseTimeout:     x.CloseTimeout.Duration,
		PingInterval:     x.PingInterval.Duration,
		PingTimeout:      x.PingTimeout.Duration,
		ReconnectMin:     x.ReconnectMin.Duration,
		ReconnectMax:     x.ReconnectMax.Duration,
		SlowMin:          x.SlowMin.Duration,
		SlowMax:          x.SlowMax.Duration,
	}
}
