package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// bell notes down for whom it was rung, call by call.
type bell struct {
	number int
	calls  *[][]int
}

func (b *bell) RingAll(bells []broker.Bell) {
	var rung []int
	for _, other := range bells {
		rung = append(rung, other.(*bell).number)
	}
	*b.calls = append(*b.calls, rung)
}

// belfry is sessions with a bell each, subscribed to patterns.
func belfry(t *testing.T, b *broker.Broker, n int, patterns ...string) (sessions []*broker.Session, taken func() [][]int, woken *[]int) {
	calls, woken := new([][]int), new([]int)
	for i := range n {
		s := brokertest.Open(t, b, broker.SessionOptions{Wake: func(*broker.Session) { *woken = append(*woken, i) }})
		s.Rings(&bell{i, calls})
		for _, p := range patterns {
			brokertest.Subscribe(t, s, p)
		}
		sessions = append(sessions, s)
	}
	return sessions, func() [][]int {
		defer func() { *calls = nil }()
		return *calls
	}, woken
}

func TestBell_is_rung_once_for_all_whose_queue_was_empty(t *testing.T) {
	for name, patterns := range map[string][]string{
		"one_subscription": {"/a"}, "several": {"/a", "/*", "/**"},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			sessions, taken, woken := belfry(t, b, 10, patterns...)
			expect := func(when string, want ...int) {
				t.Helper()
				calls := taken()
				for _, c := range calls {
					slices.Sort(c)
				}
				if len(want) == 0 && len(calls) != 0 || len(want) > 0 && (len(calls) != 1 || !slices.Equal(calls[0], want)) || len(*woken) > 0 {
					t.Errorf("%s: rung %v, woken %v; want %v", when, calls, *woken, want)
				}
			}
			brokertest.Publish(t, b, "/a", "1")
			expect("the first message", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
			brokertest.Publish(t, b, "/a", "2")
			expect("another, when none has looked")
			sessions[3].Drain(nil)
			if sessions[7].Only() != nil {
				t.Error("two are taken for one")
			}
			sessions[7].DrainMax(nil, 10)
			brokertest.Publish(t, b, "/a", "3")
			expect("two have looked", 3, 7)
			if m := sessions[3].Only(); m == nil || string(m.Data) != "3" || sessions[3].Only() != nil || sessions[3].Pending() != 0 {
				t.Errorf("one alone: %+v", m)
			}
			brokertest.Publish(t, b, "/a", "4")
			expect("one took what was alone", 3)

			if m, _ := sessions[7].OnlyOf(); m != nil {
				t.Error("two are taken for one")
			}
			sessions[7].Drain(nil)
			brokertest.Publish(t, b, "/a", "5")
			expect("all was taken", 7)
			if m, p := sessions[7].OnlyOf(); len(patterns) > 1 && m != nil || len(patterns) == 1 && (m == nil || string(m.Data) != "5" || p != "/a" || sessions[7].Pending() != 0) {
				t.Errorf("one alone: %+v, of %q", m, p)
			}
		})
	}
}

func TestBell_of_thousands_is_rung_before_the_last_is_queued_for(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	const n = 1000
	_, taken, _ := belfry(t, b, n, "/a")
	brokertest.Publish(t, b, "/a", "1")
	calls := taken()
	all := slices.Concat(calls...)
	slices.Sort(all)
	if len(calls) < 2 || len(all) != n || len(slices.Compact(all)) != n {
		t.Errorf("%d calls for %d sessions", len(calls), len(all))
	}
}

// What is no publish wakes as ever, and so does a publish where there is no bell any more.
func TestBell_is_for_publishes(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	sessions, taken, woken := belfry(t, b, 2, "/a")
	sessions[1].Rings(nil)
	brokertest.Publish(t, b, "/a", "1")
	if calls := fmt.Sprint(taken(), *woken); calls != "[[0]] [1]" {
		t.Errorf("a publish: %s", calls)
	}
	sessions[0].Return(sessions[0].Drain(nil))
	sessions[0].Close(nil)
	if calls := fmt.Sprint(taken(), *woken); calls != "[] [1 0 0]" {
		t.Errorf("what is given back, and the end: %s", calls)
	}
}
