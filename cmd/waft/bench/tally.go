package bench

// tally is what subscribers have seen since the last mark. Its JSON goes from a worker to its coordinator.
type tally struct {
	Deliveries   uint64    `json:"deliveries"` // each message once for each subscriber
	Lost         uint64    `json:"lost"`
	Repeated     uint64    `json:"repeated"`
	OutOfOrder   uint64    `json:"out_of_order"`
	Strays       uint64    `json:"strays"`
	Disconnected int       `json:"disconnected"`
	Reason       string    `json:"reason"` // of the first that was disconnected
	Latency      latencies `json:"latency"`
	CPU          float64   `json:"cpu"` // seconds, of the whole process since it began
	PID          int       `json:"pid"`
}

func newTally() tally { return tally{Latency: newLatencies()} }

// add sums up what several workers have seen.
func (t *tally) add(o *tally) {
	t.Deliveries += o.Deliveries
	t.Lost += o.Lost
	t.Repeated += o.Repeated
	t.OutOfOrder += o.OutOfOrder
	t.Strays += o.Strays
	t.Disconnected += o.Disconnected
	if t.Reason == "" {
		t.Reason = o.Reason
	}
	t.Latency.add(o.Latency)
}
