package brokertest

import "testing"

// Fanout is subscribers of one channel, in another process.
type Fanout struct {
	Subscribers int
	Publish     func()        // a message to all of them
	Wait        func()        // until another message is with all of them
	Written     func() uint64 // Guard.Written
}

// HoldFanout holds what a delivery costs: of one message on its way alone, and of sixteen, which can be joined.
func HoldFanout(t *testing.T, one, sixteen Guard, start func(*testing.T) Fanout) {
	t.Helper()
	for _, c := range []struct {
		name     string
		inFlight int
		most     Guard
	}{{"one message on its way", 1, one}, {"sixteen", 16, sixteen}} {
		t.Run(c.name, func(t *testing.T) {
			const rounds = 4
			f := start(t)
			c.most.Written = f.Written
			c.most.Hold(t, func() int {
				for range rounds {
					for range c.inFlight {
						f.Publish()
					}
					for range c.inFlight {
						f.Wait()
					}
				}
				return rounds * c.inFlight * f.Subscribers
			})
		})
	}
}
