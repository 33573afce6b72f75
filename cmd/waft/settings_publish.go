package main

import (
	"log/slog"
	"time"

	"waft/httppub"
)

// realmPublishSettings is how much may be published to a realm over HTTP, and what is remembered of it.
type realmPublishSettings struct {
	KeyMessages     int `toml:"messages_per_key"`     // a second; 0 (default): no limit
	ChannelMessages int `toml:"messages_per_channel"` // a second; 0 (default): no limit
	AddressMessages int `toml:"messages_per_address"` // a second; 0 (default): no limit

	Hold            duration `toml:"hold"`                 // how long an item waits for the one that it follows; default 5s
	ChannelHeld     int      `toml:"max_held_per_channel"` // items that wait; default 100
	MaxHeld         int      `toml:"max_held"`             // of all channels; default 10000
	MaxHeldBytes    int      `toml:"max_held_bytes"`       // of all channels; default 67108864
	OrderedChannels int      `toml:"ordered_channels"`     // whose last ids are known; default 100000

	MaxKeys         int `toml:"max_keys"`          // Idempotency-Keys whose request is known; default 10000
	MaxBulk         int `toml:"max_bulk"`          // bulk loads at a time; default 100
	MaxRefusedLines int `toml:"max_refused_lines"` // one after the other, until a bulk load is ended; default 100
}

func (p *realmPublishSettings) complete() {
	fill(&p.Hold, duration{5 * time.Second})
	fill(&p.ChannelHeld, 100)
	fill(&p.MaxHeld, 10_000)
	fill(&p.MaxHeldBytes, 64<<20)
	fill(&p.OrderedChannels, 100_000)
	fill(&p.MaxKeys, 10_000)
	fill(&p.MaxBulk, 100)
	fill(&p.MaxRefusedLines, 100)
}

func (p *realmPublishSettings) limits() httppub.PublishLimits {
	return httppub.PublishLimits{Key: p.KeyMessages, Channel: p.ChannelMessages, Address: p.AddressMessages}
}

// intake makes the realm's. window is how long the engine remembers idempotency keys.
func (p *realmPublishSettings) intake(window time.Duration, logger *slog.Logger) (*httppub.Intake, error) {
	return httppub.NewIntake(httppub.IntakeOptions{
		Limits: p.limits(),
		Hold:   p.Hold.Duration, MaxChannelHeld: p.ChannelHeld, MaxHeld: p.MaxHeld, MaxHeldBytes: p.MaxHeldBytes, OrderedChannels: p.OrderedChannels,
		KeyWindow: window, MaxKeys: p.MaxKeys,
		MaxStreams: p.MaxBulk, MaxRefusedLines: p.MaxRefusedLines,
		Logger: logger,
	})
}
