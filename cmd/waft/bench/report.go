package bench

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"
)

// Report is what was measured. Its JSON keeps its shape: members may come, and none change or go. Times are microseconds
// and sizes bytes where the name does not say otherwise.
type Report struct {
	Scenario    string  `json:"scenario"`
	Transport   string  `json:"transport"`
	URL         string  `json:"url"`
	PublishOver string  `json:"publish_over"` // "": as the kind of server has it
	Subscribers int     `json:"subscribers"`
	Channels    int     `json:"channels"`
	Publishers  int     `json:"publishers"`
	Window      int     `json:"window"` // 0: an open loop
	Rate        float64 `json:"rate"`   // 0: a closed loop
	Size        int     `json:"size"`
	Processes   int     `json:"processes"`

	Connect *ConnectReport `json:"connect"` // null without subscribers
	Publish *PublishReport `json:"publish"` // null in storm and idle
	Deliver *DeliverReport `json:"deliver"` // null without messages or subscribers
	Server  *ServerReport  `json:"server"`  // null without its pid
	Client  *ClientReport  `json:"client"`  // null where there is no /proc
}

// ConnectReport is how the subscribers got in.
type ConnectReport struct {
	Connected int      `json:"connected"`
	Failed    int      `json:"failed"`
	Error     string   `json:"error"` // of the first that failed
	Seconds   float64  `json:"seconds"`
	PerSecond float64  `json:"per_second"`
	Latency   *Latency `json:"latency"` // from dialling (with a rate: from when that was due) until subscribed
}

// PublishReport is what publishers saw.
type PublishReport struct {
	Messages  uint64   `json:"messages"`
	Seconds   float64  `json:"seconds"`
	PerSecond float64  `json:"per_second"`
	Refused   uint64   `json:"refused"`
	Error     string   `json:"error"`    // of the first that was refused
	Answers   *Latency `json:"answers"`  // until the server's answer
	Late      *Latency `json:"late"`     // how late messages were sent
	GivenUp   uint64   `json:"given_up"` // not with everybody after Patience
}

// DeliverReport is what subscribers saw.
type DeliverReport struct {
	Deliveries   uint64   `json:"deliveries"`
	PerSecond    float64  `json:"per_second"`
	Lost         uint64   `json:"lost"` // but for those of messages that were refused
	Repeated     uint64   `json:"repeated"`
	OutOfOrder   uint64   `json:"out_of_order"`
	Strays       uint64   `json:"strays"`       // of another run, or another channel
	Disconnected int      `json:"disconnected"` // subscribers
	Error        string   `json:"error"`        // why, of the first
	Latency      *Latency `json:"latency"`      // of each delivery, from when its message was meant to be sent
	Last         *Latency `json:"last"`         // of each message, until its last subscriber had it
}

// ServerReport is what the server's processes used.
type ServerReport struct {
	Processes     int     `json:"processes"`
	CPU           float64 `json:"cpu_seconds"`           // while it was measured
	Load          float64 `json:"load"`                  // cores
	PerDelivery   float64 `json:"cpu_us_per_delivery"`   // 0 without deliveries
	PerPublish    float64 `json:"cpu_us_per_publish"`    // 0 without messages
	PerConnect    float64 `json:"cpu_us_per_connection"` // while they were opened; 0 without subscribers
	MemoryBefore  int64   `json:"memory_before"`         // resident
	MemoryAfter   int64   `json:"memory_connected"`      // resident, with all subscribers
	PerConnection int64   `json:"memory_per_connection"` // the difference, shared out
	MemoryEnd     int64   `json:"memory_end"`            // resident
}

// ClientReport is what the load generator itself used: when a core of it is busy, it is what was measured.
type ClientReport struct {
	CPU         float64 `json:"cpu_seconds"`
	Load        float64 `json:"load"`    // cores, of all its processes
	Busiest     float64 `json:"busiest"` // cores, of the busiest process
	PerDelivery float64 `json:"cpu_us_per_delivery"`
}

// Trouble says what should not have happened, and "" if all went well.
func (r *Report) Trouble() string {
	switch d := r.Deliver; {
	case r.Connect != nil && r.Connect.Failed > 0:
		return fmt.Sprintf("%d of %d subscribers could not connect: %s", r.Connect.Failed, r.Connect.Failed+r.Connect.Connected, r.Connect.Error)
	case r.Publish != nil && r.Publish.Refused > 0:
		return fmt.Sprintf("%d of %d messages were refused: %s", r.Publish.Refused, r.Publish.Messages, r.Publish.Error)
	case d != nil && d.Disconnected > 0:
		return fmt.Sprintf("%d subscribers were disconnected: %s", d.Disconnected, d.Error)
	case d != nil && d.Lost+d.Repeated+d.OutOfOrder > 0:
		return fmt.Sprintf("of %d deliveries %d are lost, %d came again, and %d too late", d.Deliveries+d.Lost, d.Lost, d.Repeated, d.OutOfOrder)
	}
	return ""
}

// Table writes the report for people.
func (r *Report) Table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	loop := fmt.Sprintf("window %d", r.Window)
	if r.Window == 0 {
		loop = fmt.Sprintf("%.6g a second", r.Rate)
	}
	over := ""
	if r.PublishOver != "" {
		over = ", published over " + r.PublishOver
	}
	row(r.Scenario, "%s at %s%s", r.Transport, r.URL, over)
	if r.Publish != nil {
		row("load", "%d subscribers, %d channels, %d publishers, %s, %d bytes", r.Subscribers, r.Channels, r.Publishers, loop, r.Size)
	}
	if c := r.Connect; c != nil {
		row("connected", "%d in %.2f s, %.0f a second; %d failed", c.Connected, c.Seconds, c.PerSecond, c.Failed)
		row("  latency", "%s", c.Latency)
	}
	if p := r.Publish; p != nil {
		row("published", "%d in %.2f s, %.0f a second; %d refused, %d given up", p.Messages, p.Seconds, p.PerSecond, p.Refused, p.GivenUp)
		row("  answered", "%s", p.Answers)
		if r.Window == 0 {
			row("  sent late", "%s", p.Late)
		}
	}
	if d := r.Deliver; d != nil {
		row("delivered", "%d, %.0f a second", d.Deliveries, d.PerSecond)
		row("  wrong", "%d lost, %d repeated, %d out of order, %d strays, %d disconnected", d.Lost, d.Repeated, d.OutOfOrder, d.Strays, d.Disconnected)
		row("  latency", "%s", d.Latency)
		row("  of the last", "%s", d.Last)
	}
	if s := r.Server; s != nil {
		row("server", "%.2f s of CPU, %.2f cores%s", s.CPU, s.Load, each(s.PerDelivery, "delivery")+each(s.PerPublish, "publish")+each(s.PerConnect, "connection"))
		if r.Connect != nil {
			row("  memory", "%s resident, %s with all connected (%.1f KB each), %s in the end", bytesText(s.MemoryBefore), bytesText(s.MemoryAfter),
				float64(s.PerConnection)/1000, bytesText(s.MemoryEnd))
		}
	}
	if c := r.Client; c != nil {
		row("client", "%.2f s of CPU, %.2f cores, the busiest process %.2f%s", c.CPU, c.Load, c.Busiest, each(c.PerDelivery, "delivery"))
	}
	return w.Flush()
}

func each(micros float64, what string) string {
	if micros == 0 {
		return ""
	}
	return fmt.Sprintf(", %.2f µs a %s", micros, what)
}

func bytesText(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// String is for people.
func (l *Latency) String() string {
	if l == nil {
		return "nothing"
	}
	us := func(n int64) string {
		d := time.Duration(n) * time.Microsecond
		switch {
		case d >= time.Second:
			return fmt.Sprintf("%.2f s", d.Seconds())
		case d >= time.Millisecond:
			return fmt.Sprintf("%.2f ms", float64(n)/1000)
		}
		return fmt.Sprintf("%d µs", n)
	}
	return fmt.Sprintf("min %s, p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", us(l.Min), us(l.P50), us(l.P90), us(l.P99), us(l.P999), us(l.Max))
}

// ratio is a/b with three decimals, and 0 where that is nothing.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return math.Round(a/b*1000) / 1000
}

func tenths(v float64) float64 { return math.Round(v*10) / 10 }
