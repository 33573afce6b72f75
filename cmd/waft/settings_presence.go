package main

import (
	"time"

	"waft/broker"
	"waft/broker/presence"
)

// presenceSettings says whose comings and goings are told. Without match nobody's are.
type presenceSettings struct {
	Match       []string `toml:"match"`        // patterns; default none
	Segment     string   `toml:"segment"`      // last segment of the channel on which it is told; default "presence"
	Interval    duration `toml:"interval"`     // between two messages about a channel, at least; default 1s
	Grace       duration `toml:"grace"`        // how long one must be gone to have left; default 5s
	MaxNames    int      `toml:"max_names"`    // in each list of a message; default 100
	MaxChannels int      `toml:"max_channels"` // that are told of at a time; default 10000
	MaxMembers  int      `toml:"max_members"`  // subjects remembered, of all channels; default 100000
}

func (p *presenceSettings) complete() {
	if p.Match == nil {
		p.Match = []string{}
	}
	fill(&p.Segment, "presence")
	fill(&p.Interval, duration{time.Second})
	fill(&p.Grace, duration{5 * time.Second})
	fill(&p.MaxNames, 100)
	fill(&p.MaxChannels, 10_000)
	fill(&p.MaxMembers, 100_000)
}

// tracker makes the realm's presence; nil if it has none.
func (p *presenceSettings) tracker() (*presence.Tracker, error) {
	if len(p.Match) == 0 {
		return nil, nil
	}
	o := presence.Options{
		Segment: p.Segment, Interval: p.Interval.Duration, Grace: p.Grace.Duration,
		MaxNames: p.MaxNames, MaxChannels: p.MaxChannels, MaxMembers: p.MaxMembers,
	}
	for _, m := range p.Match {
		o.Match = append(o.Match, broker.Pattern(m))
	}
	return presence.New(o)
}

// observers gives broker.Options.OnEvent for all that are not nil.
func observers(all ...func(broker.Event)) func(broker.Event) {
	return func(e broker.Event) {
		for _, f := range all {
			f(e)
		}
	}
}
