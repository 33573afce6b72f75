package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"time"
)

// Options say what to measure. Scenario, Target and Spawn are needed; of the others zero is the default of the scenario.
type Options struct {
	Scenario string // one of Scenarios
	Target   Target

	Subscribers int // connections
	Channels    int // subscriber i has channel i mod Channels
	Publishers  int // connections
	Size        int // bytes of a message's JSON, MinSize at least; 128

	// A closed loop has Window messages of each publisher under way; an open loop publishes Rate messages a second. One of
	// them is 0. In storm, Rate is connections a second.
	Window int
	Rate   float64

	Duration time.Duration // of what is measured; 5 s
	Messages int           // that are measured, at most; 0: as many as there is time for
	Warmup   time.Duration // before it; 1 s. Negative: none
	Patience time.Duration // until a message that has not arrived everywhere is no longer waited for; 5 s

	Connecting int      // at the same time; 64
	Processes  int      // of subscribers; as many as descriptors demand
	Locals     []string // addresses to connect from, in turn; 127.0.0.1, 127.0.0.2 … if ports demand it and the server is on loopback

	Prefix          string // of channels' names; /bench
	Token           string // of publishers
	SubscriberToken string
	PID             int // of the server: what it uses is measured, with its descendants; 0: not

	Progress io.Writer // told what goes on, a line each second; nil: nobody
	Spawn    func(context.Context) (*Process, error)
}

// The scenarios.
const (
	FanOut   = "fan-out"
	Many     = "channels"
	Publish  = "publish"
	LongPoll = "long-poll"
	Stream   = "sse"
	Jabber   = "xmpp"
	Storm    = "storm"
	Idle     = "idle"
)

// Scenario is one of Scenarios, and what it is like when nothing else is said.
type Scenario struct {
	Name, About string
	Transport   string

	subscribers, channels, window int
	duration                      time.Duration
}

// Scenarios are what can be measured.
var Scenarios = []Scenario{
	{FanOut, "one channel, 1,000 subscribers", WebSocket, 1000, 1, 1, 5 * time.Second},
	{Many, "1,000 channels, a subscriber each", WebSocket, 1000, 1000, 16, 5 * time.Second},
	{Publish, "no subscriber: how fast publishes are answered", WebSocket, 0, 1, 16, 5 * time.Second},
	{LongPoll, "fan-out over Bayeux long-polling", LongPolling, 1000, 1, 1, 5 * time.Second},
	{Stream, "fan-out over Server-Sent Events", Events, 1000, 1, 1, 5 * time.Second},
	{Jabber, "fan-out to 1,000 XMPP users, whose server is played here", XMPP, 1000, 1, 1, 5 * time.Second},
	{Storm, "1,000 subscribers connect as fast as they can, or at --rate", WebSocket, 1000, 1, 0, 0},
	{Idle, "1,000 subscribers with a channel each, and no message", WebSocket, 1000, 1000, 0, 10 * time.Second},
}

// ScenarioNamed finds a scenario.
func ScenarioNamed(name string) (Scenario, error) {
	var names []string
	for _, s := range Scenarios {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("there is no scenario %q, but %s", name, strings.Join(names, ", "))
}

// publishes tells whether the scenario has messages.
func (o *Options) publishes() bool { return o.Scenario != Storm && o.Scenario != Idle }

// linked tells whether there is a component.
func (o *Options) linked() bool {
	return o.Target.Transport == XMPP && o.Subscribers > 0 || o.Target.PublishOver == XMPP && o.publishes()
}

const (
	maxCount      = 1 << 24 // of subscribers and of channels: the width of a stamp's field
	maxPublishers = 1000
	maxSize       = 16 << 20
	spareFiles    = 200     // descriptors of a worker that are no subscribers
	portsEach     = 20_000  // connections from one address to one port, below the 28,000 that Linux allows
	maxRate       = 1000000 // a second
)

// Check says what makes no sense.
func (o Options) Check() error { return o.complete() }

// complete fills in what was left out, and says what makes no sense.
func (o *Options) complete() error {
	s, err := ScenarioNamed(o.Scenario)
	if err != nil {
		return err
	}
	o.Target.complete()
	if err := o.Target.check(); err != nil {
		return err
	}
	fill := func(v *int, or int) {
		if *v == 0 {
			*v = or
		}
	}
	fill(&o.Subscribers, s.subscribers)
	if s.channels > 1 {
		fill(&o.Channels, o.Subscribers)
	}
	fill(&o.Channels, s.channels)
	fill(&o.Publishers, 1)
	fill(&o.Size, 128)
	fill(&o.Connecting, 64)
	if o.Rate == 0 {
		fill(&o.Window, s.window)
	}
	if o.Duration == 0 {
		o.Duration = s.duration
	}
	if o.Warmup == 0 {
		o.Warmup = time.Second
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	if o.Prefix == "" {
		o.Prefix = "/bench"
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Target.Transport == XMPP {
		fill(&o.Processes, 1)
	}
	fill(&o.Processes, max(1, (o.Subscribers+descriptorLimit()-spareFiles-1)/max(1, descriptorLimit()-spareFiles)))
	if o.Locals == nil {
		o.Locals = locals(locate(o.Target.Subscribe).addr, o.Subscribers)
	}
	return o.check()
}

// check says what makes no sense.
func (o *Options) check() error {
	switch {
	case o.Scenario == Publish && o.Subscribers > 0:
		return errors.New("publish has no subscribers; fan-out has")
	case o.Subscribers < 0 || o.Subscribers >= maxCount || o.Channels < 1 || o.Channels >= maxCount:
		return fmt.Errorf("there can be up to %d subscribers and channels", maxCount-1)
	case o.Scenario != Publish && o.Subscribers == 0:
		return fmt.Errorf("%s needs subscribers", o.Scenario)
	case o.Publishers < 1 || o.Publishers > maxPublishers:
		return fmt.Errorf("there can be 1 to %d publishers", maxPublishers)
	case o.Size < MinSize || o.Size > maxSize:
		return fmt.Errorf("a message has %d to %d bytes", MinSize, maxSize)
	case o.Window < 0 || o.Window > ringSize:
		return fmt.Errorf("the window is 1 to %d", ringSize)
	case o.Rate < 0 || o.Rate > maxRate || math.IsNaN(o.Rate):
		return fmt.Errorf("the rate is more than 0, and %d a second at most", maxRate)
	case o.Window > 0 && o.Rate > 0:
		return errors.New("a window and a rate exclude each other: messages are due when others have arrived, or when the clock says so")
	case o.Duration < 0 || o.Messages < 0 || o.Patience < 0 || o.Connecting < 1 || o.Processes < 1 || o.PID < 0:
		return errors.New("durations and numbers must not be negative")
	case !strings.HasPrefix(o.Prefix, "/") || strings.ContainsAny(o.Prefix, "\"\\?#% \r\n") || strings.HasSuffix(o.Prefix, "/"):
		return fmt.Errorf("a prefix of channels is such as /bench, and not %q", o.Prefix)
	case o.Target.Transport == XMPP && o.Processes > 1:
		return errors.New("XMPP users share one link, and so one process")
	case o.Spawn == nil:
		return errors.New("who starts the workers is not said")
	}
	if i := slices.IndexFunc(o.Locals, func(s string) bool { return net.ParseIP(s) == nil }); i >= 0 {
		return fmt.Errorf("%q is no IP address to connect from", o.Locals[i])
	}
	return nil
}

// locals are addresses enough for all connections, if addr is on the loopback network: all of 127.0.0.0/8 is this machine
// on Linux, and each address has ports of its own.
func locals(addr string, connections int) []string {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || ip.To4() == nil || !ip.IsLoopback() || connections <= portsEach {
		return nil
	}
	var all []string
	for i := range (connections + portsEach - 1) / portsEach {
		all = append(all, net.IPv4(127, 0, byte(i/250), byte(i%250+1)).String())
	}
	return all
}

// assignments shares the subscribers out.
func (o *Options) assignments(run uint32) []assignment {
	rate := 0.0
	if o.Scenario == Storm {
		rate = o.Rate / float64(o.Processes)
	}
	a := assignment{
		Target: o.Target, Token: o.SubscriberToken, Run: run, Prefix: o.Prefix, Channels: o.Channels, Publishers: o.Publishers,
		Connecting: (o.Connecting + o.Processes - 1) / o.Processes, Rate: rate, Locals: o.Locals, Link: o.Target.Transport == XMPP,
	}
	var all []assignment
	for i := range o.Processes {
		a.First, a.Count = o.Subscribers*i/o.Processes, o.Subscribers*(i+1)/o.Processes-o.Subscribers*i/o.Processes
		if o.Subscribers > 0 {
			all = append(all, a)
		}
	}
	if o.linked() && (len(all) == 0 || !all[0].Link) { // a worker that has the link and nobody
		a.First, a.Count, a.Link = o.Subscribers, 0, true
		all = append(all, a)
	}
	return all
}
