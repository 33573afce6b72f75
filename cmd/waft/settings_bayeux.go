package main

import (
	"log/slog"
	"path/filepath"
	"time"

	"waft/bayeux"
	"waft/broker"
	"waft/broker/outbox"
)

// bayeuxSettings is a realm's Bayeux door.
type bayeuxSettings struct {
	Origins []string `toml:"origins"` // web pages that may use it, beside those of the same host: "https://app.example"; "*": all

	AllowHeaders []string `toml:"allow_headers"` // further header fields that those pages may send; default none
	JSONP        *bool    `toml:"jsonp"`         // callback-polling, which Faye's client needs across origins; default true
	ClientScript string   `toml:"client_script"` // file served at /bayeux.js and /bayeux/client.js, seen from the configuration file's folder; default none

	Timeout     duration `toml:"timeout"`      // how long a connect is held; default 30s
	Interval    duration `toml:"interval"`     // what clients are told to wait between connects; default none
	MaxInterval duration `toml:"max_interval"` // how long beyond interval a session lives without a sign of life; default 1m

	MaxInactivity duration `toml:"max_inactivity"` // how long a client may send nothing but connects; default for ever

	MaxBody          int      `toml:"max_body"`              // bytes of a request, query or frame; default 65536
	MaxBatch         int      `toml:"max_batch"`             // messages in a request or frame; default 1000
	MaxMessages      int      `toml:"max_messages"`          // deliveries that may wait for a session; default 1000
	MaxBytes         int      `toml:"max_bytes"`             // bytes of them; default 1048576
	MaxSubscriptions int      `toml:"max_subscriptions"`     // of one session; default 1000
	Overflow         string   `toml:"overflow"`              // of a session for which more waits: "disconnect" (default) or "drop_oldest"
	MaxUnconfirmed   *int     `toml:"max_unconfirmed"`       // messages kept until a client has shown that it has them; 0: none; default 1000
	MaxUnconfBytes   int      `toml:"max_unconfirmed_bytes"` // bytes of them; default 1048576
	ReceiptDelay     duration `toml:"receipt_delay"`         // how long after an event on a socket its arrival is asked for; default 1s
	Ack              *bool    `toml:"ack"`                   // CometD's acknowledge extension; default true
	Timesync         *bool    `toml:"timesync"`              // CometD's timesync extension; default true
	Timestamp        bool     `toml:"timestamp"`             // replies and events say when; default false
	AllowedExt       []string `toml:"allowed_ext"`           // members of a message's ext that subscribers get; default ["binary"]

	Compression  bool `toml:"compression"`   // permessage-deflate for WebSocket clients that offer it; default false
	CompressFrom int  `toml:"compress_from"` // bytes of the smallest event that is then compressed; default 512

	AddressSessions    int `toml:"max_sessions_per_address"`    // at a time; 0 (default): no limit
	AddressConnections int `toml:"max_connections_per_address"` // requests under way, sockets and streams; 0 (default): no limit
	AddressHandshakes  int `toml:"handshakes_per_address"`      // a second; 0 (default): no limit
	AddressMessages    int `toml:"messages_per_address"`        // a second; 0 (default): no limit
	SessionMessages    int `toml:"messages_per_session"`        // a second; default 1000
	BadTokens          int `toml:"bad_tokens_per_address"`      // until one in five seconds is looked at; default 20

	Ping          duration `toml:"ping"`           // silence after which a socket is pinged, and the pace of a stream's comments; default 25s
	PongWait      duration `toml:"pong_wait"`      // how long it then has to answer; default 10s
	HandshakeIdle duration `toml:"handshake_idle"` // how long a socket may be open without a session; default 30s
	DedupWindow   duration `toml:"dedup_window"`   // how long a published message's id is remembered; default 1m
}

// overflows are the words for bayeux.overflow.
var overflows = map[string]broker.Overflow{"disconnect": broker.Disconnect, "drop_oldest": broker.DropOldest}

func (b *bayeuxSettings) complete() {
	if b.AllowHeaders == nil {
		b.AllowHeaders = []string{}
	}
	fill(&b.JSONP, new(true))
	fill(&b.Timeout, duration{30 * time.Second})
	fill(&b.MaxInterval, duration{time.Minute})
	fill(&b.MaxBody, 64<<10)
	fill(&b.MaxBatch, 1000)
	fill(&b.MaxMessages, 1000)
	fill(&b.MaxBytes, 1<<20)
	fill(&b.MaxSubscriptions, 1000)
	fill(&b.Overflow, "disconnect")
	fill(&b.MaxUnconfirmed, new(1000))
	fill(&b.MaxUnconfBytes, 1<<20)
	fill(&b.ReceiptDelay, duration{time.Second})
	fill(&b.Ack, new(true))
	fill(&b.Timesync, new(true))
	if b.AllowedExt == nil {
		b.AllowedExt = []string{"binary"}
	}
	fill(&b.CompressFrom, 512)
	fill(&b.SessionMessages, 1000)
	fill(&b.BadTokens, 20)
	fill(&b.Ping, duration{25 * time.Second})
	fill(&b.PongWait, duration{10 * time.Second})
	fill(&b.HandshakeIdle, duration{30 * time.Second})
	fill(&b.DedupWindow, duration{time.Minute})
}

// options are those of the realm's handler. dir is the folder of the configuration file.
func (b *bayeuxSettings) options(to *broker.Broker, tokens broker.Authenticator, x *outbox.Outbox, logger *slog.Logger, dir string) bayeux.Options {
	return bayeux.Options{
		Broker: to, Authenticator: tokens, Outbox: x, Logger: logger,
		Origins: b.Origins, AllowHeaders: b.AllowHeaders, NoJSONP: !*b.JSONP, ClientScript: b.clientScript(dir),
		Timeout: b.Timeout.Duration, Interval: b.Interval.Duration, MaxInterval: b.MaxInterval.Duration, MaxInactivity: b.MaxInactivity.Duration,
		MaxBody: b.MaxBody, MaxBatch: b.MaxBatch,
		MaxMessages: b.MaxMessages, MaxBytes: b.MaxBytes, MaxSubscriptions: b.MaxSubscriptions, Overflow: overflows[b.Overflow],
		MaxUnconfirmed: orNone(*b.MaxUnconfirmed), MaxUnconfirmedBytes: b.MaxUnconfBytes, ReceiptDelay: b.ReceiptDelay.Duration, NoAck: !*b.Ack, NoTimesync: !*b.Timesync,
		Timestamp:   b.Timestamp,
		AllowedExt:  b.AllowedExt,
		Compression: b.Compression, CompressFrom: b.CompressFrom,
		Limits: b.limits(),
		Ping:   b.Ping.Duration, PongWait: b.PongWait.Duration,
		HandshakeIdle: b.HandshakeIdle.Duration, DedupWindow: b.DedupWindow.Duration,
	}
}

func (b *bayeuxSettings) limits() bayeux.Limits {
	return bayeux.Limits{
		AddressSessions: b.AddressSessions, AddressConnections: b.AddressConnections,
		AddressHandshakes: b.AddressHandshakes, AddressMessages: b.AddressMessages,
		SessionMessages: b.SessionMessages, BadTokens: b.BadTokens,
	}
}

// orNone is how the handler's options write a limit of 0, where 0 means the default: below it.
func orNone(limit int) int {
	if limit == 0 {
		return -1
	}
	return limit
}

// clientScript is the file as seen from anywhere.
func (b *bayeuxSettings) clientScript(dir string) string {
	if b.ClientScript == "" || filepath.IsAbs(b.ClientScript) {
		return b.ClientScript
	}
	return filepath.Join(dir, b.ClientScript)
}
