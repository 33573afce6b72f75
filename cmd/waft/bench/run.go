package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

const (
	progressEvery = time.Second
	// longestGrace is how long repeats and stragglers may take after all is over; and how long the server has, when all are
	// connected, until its memory is looked at.
	longestGrace = 250 * time.Millisecond
)

// Run measures. The error is for what kept it from measuring; what the measurement found is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{Options: o, id: rand.Uint32(), report: Report{ //nolint:gosec // tells runs apart
		Scenario: o.Scenario, Transport: o.Target.Transport, URL: o.Target.Subscribe, PublishOver: o.Target.PublishOver, Subscribers: o.Subscribers, Channels: o.Channels,
		Publishers: o.Publishers, Window: o.Window, Rate: o.Rate, Size: o.Size, Processes: o.Processes,
	}}
	r.plan = plan{o.Channels, o.Publishers}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// run is one measurement. It belongs to the goroutine of Run, but for what flight and crew guard by themselves.
type run struct {
	Options
	id     uint32
	plan   plan
	report Report

	crew       *crew
	flight     *flight
	publishers []publisher
	published  []uint64 // by publisher, since the beginning
	payloads   [][]byte // by publisher; reused
}

// all goes through the stages.
func (r *run) all(ctx context.Context) error {
	r.flight = newFlight(r.Options.Publishers, r.Window, r.Patience, func(k messageKey) uint64 {
		channel, _ := r.plan.channelOf(k.publisher, k.index)
		return uint64(r.plan.members(0, r.Subscribers, channel))
	})
	if r.linked() {
		r.say("waiting at %s for the component %s", r.Target.Component.Listen, r.Target.Component.Domain)
	}
	before, err := r.serverUsage()
	if err != nil {
		return err
	}
	began := time.Now()
	r.crew, err = hire(ctx, r.Spawn, r.assignments(r.id), r.flight.done, r.said)
	if err != nil {
		return err
	}
	defer r.crew.dismiss()
	if err := r.connect(ctx, began); err != nil {
		return err
	}
	connected, err := r.serverUsage()
	if err != nil {
		return err
	}
	r.connected(before, connected)
	switch {
	case r.publishes():
		return r.publish(ctx)
	case r.Scenario == Idle:
		return r.wait(ctx)
	}
	return nil
}

// grace is short where what is measured is.
func (r *run) grace() time.Duration {
	if r.Duration == 0 {
		return longestGrace
	}
	return min(longestGrace, r.Duration)
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Progress, format+"\n", args...) }

// connect waits for the subscribers.
func (r *run) connect(ctx context.Context, began time.Time) error {
	if len(r.crew.workers) == 0 {
		return nil
	}
	o, err := r.crew.connected(ctx, func(p progress) {
		r.say("%d of %d connected, %d failed", p.Connected, r.Subscribers, p.Failed)
	})
	if err != nil {
		return err
	}
	if o.Failed == 0 && o.Error != "" {
		return fmt.Errorf("publishing to %s: %s", r.Target.Publish, o.Error)
	}
	if r.Subscribers == 0 {
		return nil
	}
	seconds := time.Since(began).Seconds() - o.Waited
	r.report.Connect = &ConnectReport{
		Connected: o.Connected, Failed: o.Failed, Error: o.Error, Seconds: ratio(seconds, 1), PerSecond: ratio(float64(o.Connected), seconds),
		Latency: o.Latency.summary(),
	}
	r.say("%d subscribers connected in %.2f s", o.Connected, seconds)
	if o.Failed > 0 && r.Scenario != Storm {
		return fmt.Errorf("%d of %d subscribers could not connect to %s: %s", o.Failed, r.Subscribers, r.Target.Subscribe, o.Error)
	}
	sleep(ctx, r.grace())
	return ctx.Err()
}

// serverUsage is nothing if no pid is known.
func (r *run) serverUsage() (usage, error) {
	if r.PID == 0 {
		return usage{}, nil
	}
	return usageOf(r.PID)
}

func (r *run) connected(before, after usage) {
	if r.PID == 0 {
		return
	}
	r.report.Server = &ServerReport{
		Processes: after.processes, CPU: (after.cpu - before.cpu).Seconds(), MemoryBefore: before.resident, MemoryAfter: after.resident, MemoryEnd: after.resident,
	}
	if c := r.report.Connect; c != nil && c.Connected > 0 {
		s := r.report.Server
		s.Load = ratio(s.CPU, c.Seconds)
		s.PerConnect = ratio(s.CPU*1e6, float64(c.Connected))
		s.PerConnection = (after.resident - before.resident) / int64(c.Connected)
	}
}

// wait is the scenario without messages: what do connections cost that do nothing?
func (r *run) wait(ctx context.Context) error {
	m, err := r.measure(ctx)
	if err != nil {
		return err
	}
	r.say("waiting %v", r.Duration)
	sleep(ctx, r.Duration)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t, err := m.end(ctx, r.Duration)
	if err != nil {
		return err
	}
	if t.Disconnected > 0 {
		return fmt.Errorf("%d subscribers were disconnected: %s", t.Disconnected, t.Reason)
	}
	return nil
}

// publish is a scenario with messages.
func (r *run) publish(ctx context.Context) error {
	r.published = make([]uint64, r.Options.Publishers)
	r.payloads = make([][]byte, r.Options.Publishers)
	defer func() {
		for _, p := range r.publishers {
			p.close()
		}
	}()
	for i := range r.Options.Publishers {
		if r.Target.PublishOver == XMPP {
			r.publishers = append(r.publishers, newVoice(r.crew.linked(), i, r.Target.Component))
			continue
		}
		p, err := newPublisher(ctx, r.Target, r.Token, func(serial uint64, err error) {
			if _, refused := errors.AsType[*refusedError](err); err != nil && !refused {
				r.flight.fail(fmt.Errorf("a publisher's connection to %s: %w", r.Target.Publish, err))
				return
			}
			r.flight.answer(messageKey{i, serial}, err)
		})
		if err != nil {
			return fmt.Errorf("connecting a publisher to %s: %w", r.Target.Publish, err)
		}
		r.publishers = append(r.publishers, p)
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.flight.watch(watching) })
	watch.Go(func() { r.tell(watching) })
	defer watch.Wait()
	defer stop()

	if r.Warmup > 0 {
		r.say("warming up for %v", r.Warmup)
		if _, _, err := r.stage(ctx, r.Warmup, 0); err != nil {
			return err
		}
		if c := r.flight.counts(); c.completed == 0 && c.refused > 0 {
			return fmt.Errorf("publishing to %s: %s", r.Target.Publish, c.why)
		}
	}
	m, err := r.measure(ctx)
	if err != nil {
		return err
	}
	r.say("measuring for %v", r.Duration)
	lag, length, err := r.stage(ctx, r.Duration, r.Messages)
	if err != nil {
		return err
	}
	t, err := m.end(ctx, length)
	if err != nil {
		return err
	}
	r.fill(t, lag, length, m.from)
	return nil
}

// said takes the component's answer to a publisher of ours.
func (r *run) said(s said) {
	switch k := (messageKey{s.Publisher, s.Serial}); {
	case s.Over != "":
		if r.Target.PublishOver == XMPP {
			r.flight.fail(fmt.Errorf("the link of %s: %s", r.Target.Component.Domain, s.Over))
		}
	case s.Refused != "":
		r.flight.answer(k, &refusedError{s.Refused})
	default:
		r.flight.answer(k, nil)
	}
}

// stage publishes for d, or so many messages, and waits for the end of it all.
func (r *run) stage(ctx context.Context, d time.Duration, messages int) (lag latencies, length time.Duration, err error) {
	r.flight.reset()
	start := time.Now()
	p := pace{r.Options.Publishers, r.Window, r.Rate, d, messages}
	r.published, lag, err = p.run(ctx, r.published, r.flight.permits, r.send)
	if err == nil {
		err = r.flight.drain(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	r.flight.mu.Lock()
	length = max(r.flight.arrived.Sub(start), 0)
	r.flight.mu.Unlock()
	if messages == 0 {
		length = max(length, d)
	}
	sleep(ctx, r.grace())
	return lag, length, err
}

// send is called from each publisher's goroutine.
func (r *run) send(p int, index uint64, at time.Time) error {
	channel, n := r.plan.channelOf(p, index)
	if err := r.flight.begin(messageKey{p, index}, at, r.crew.receivers(channel)); err != nil {
		return err
	}
	s := stamp{run: r.id, publisher: p, channel: channel, n: n, at: at.UnixNano()}
	r.payloads[p] = s.appendPayload(r.payloads[p][:0], r.Size)
	if err := r.publishers[p].send(index, channelName(r.Prefix, r.id, channel), r.payloads[p]); err != nil {
		return fmt.Errorf("publishing to %s: %w", r.Target.Publish, err)
	}
	return nil
}

// tell says how far it is.
func (r *run) tell(ctx context.Context) {
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c := r.flight.counts()
			r.say("%d messages are with everybody, %d on their way, %d refused, %d given up", c.completed, c.under, c.refused, c.given)
		case <-ctx.Done():
			return
		}
	}
}

// measurement is what everybody had used when it began.
type measurement struct {
	run    *run
	from   []uint64 // published
	server usage
	client map[int]float64 // seconds of CPU by process
}

func (r *run) measure(ctx context.Context) (*measurement, error) {
	if r.published == nil {
		r.published = make([]uint64, r.Options.Publishers)
	}
	m := &measurement{run: r, from: append([]uint64(nil), r.published...)}
	err := r.crew.mark(ctx, r.published)
	if err != nil {
		return nil, err
	}
	if _, m.client, err = r.clientUsage(ctx); err != nil {
		return nil, err
	}
	m.server, err = r.serverUsage()
	return m, err
}

// clientUsage is what the subscribers saw, and what all processes of ours have used.
func (r *run) clientUsage(ctx context.Context) (*tally, map[int]float64, error) {
	t, cpu, err := r.crew.report(ctx, r.published)
	if err != nil {
		return nil, nil, err
	}
	if own, err := readStat(os.Getpid()); err == nil {
		cpu[os.Getpid()] = own.cpu.Seconds()
	}
	return t, cpu, nil
}

// end fills in what server and client used in that time, and gives what the subscribers saw.
func (m *measurement) end(ctx context.Context, length time.Duration) (*tally, error) {
	r := m.run
	server, err := r.serverUsage()
	if err != nil {
		return nil, err
	}
	t, client, err := r.clientUsage(ctx)
	if err != nil {
		return nil, err
	}
	seconds, deliveries := length.Seconds(), float64(t.Deliveries)
	if s := r.report.Server; s != nil {
		s.CPU = (server.cpu - m.server.cpu).Seconds()
		s.Load = ratio(s.CPU, seconds)
		s.PerDelivery = ratio(s.CPU*1e6, deliveries)
		s.MemoryEnd = server.resident
	}
	c := &ClientReport{}
	for pid, cpu := range client {
		c.CPU += cpu - m.client[pid]
		c.Busiest = max(c.Busiest, ratio(cpu-m.client[pid], seconds))
	}
	c.CPU = ratio(c.CPU, 1)
	c.Load, c.PerDelivery = ratio(c.CPU, seconds), ratio(c.CPU*1e6, deliveries)
	if len(client) > 0 {
		r.report.Client = c
	}
	return t, nil
}

// fill fills in what publishers and subscribers saw.
func (r *run) fill(t *tally, lag latencies, length time.Duration, from []uint64) {
	f := r.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &PublishReport{Seconds: ratio(length.Seconds(), 1), Refused: f.refused, Error: f.why, GivenUp: f.given, Answers: f.answers.summary(), Late: lag.summary()}
	for i, n := range r.published {
		p.Messages += n - from[i]
	}
	p.PerSecond = ratio(float64(p.Messages), length.Seconds())
	r.report.Publish = p
	if s := r.report.Server; s != nil {
		s.PerPublish = ratio(s.CPU*1e6, float64(p.Messages))
	}
	if r.Subscribers == 0 {
		return
	}
	r.report.Deliver = &DeliverReport{
		Deliveries: t.Deliveries, PerSecond: ratio(float64(t.Deliveries), length.Seconds()), Lost: t.Lost - min(t.Lost, f.unheard), Repeated: t.Repeated,
		OutOfOrder: t.OutOfOrder, Strays: t.Strays, Disconnected: t.Disconnected, Error: t.Reason, Latency: t.Latency.summary(), Last: f.last.summary(),
	}
}
