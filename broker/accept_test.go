package broker_test

import (
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestAccept_publishes_nothing_until_it_is_committed(t *testing.T) {
	b := brokertest.New(t, broker.Options{Publishes: broker.PerSecond(1, 3)})
	batch := []broker.Publication{
		{Message: &broker.Message{Channel: "/a", ID: "1", Data: []byte("1")}},
		{Message: &broker.Message{Channel: "/b", ID: "2", Data: []byte(" 2 ")}},
	}
	a, err := b.Accept(ctx, broker.Principal{}, batch)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Pace(); err != nil {
		t.Fatal(err)
	}
	if n := b.Stats().Published; n != 0 {
		t.Errorf("%d are published", n)
	}
	if r, err := a.Only(1).Commit(ctx, 0); err != nil || r.ID != "2" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := a.Commit(ctx, 0); err != nil || r.ID != "1" {
		t.Errorf("%+v, %v", r, err)
	}
	if n := b.Stats().Published; n != 2 {
		t.Errorf("%d are published", n)
	}
	if err := a.Pace(); broker.KindOf(err) != broker.RateLimited || broker.RetryAfterOf(err) <= 0 || broker.RetryAfterOf(err) > time.Second {
		t.Errorf("two more of three: %v, after %v", err, broker.RetryAfterOf(err))
	}
	if _, err := b.Accept(ctx, broker.Principal{}, append(batch, broker.Publication{Message: &broker.Message{Channel: "/a"}})); broker.KindOf(err) != broker.Invalid {
		t.Errorf("a bad one: %v", err)
	}
}

func TestTally_gives_back(t *testing.T) {
	r, now := broker.PerSecond(1, 5), int64(time.Hour)
	var tally broker.Tally
	if tally.Take(r, now, 4) != 0 || tally.Take(r, now, 2) == 0 || r.Burst() != 5 {
		t.Fatal("five are not five")
	}
	tally.Return(r, 4)
	if tally.Take(r, now, 5) != 0 || tally.Take(r, now, 1) == 0 {
		t.Error("what was given back cannot be taken, or more than that")
	}
}

func TestTallies_are_bounded_and_keep_who_is_held_back(t *testing.T) {
	r, now := broker.PerSecond(1, 1), int64(time.Hour)
	var x broker.Tallies[int]
	for i := range 1000 {
		if x.Of(i, 10, now).Take(r, now, 1) != 0 {
			t.Fatal("one who was never heard of is held back")
		}
		if x.Len() > 10 {
			t.Fatalf("%d are known", x.Len())
		}
	}
	if x.Look(2000, r, now) != 0 || x.Len() > 10 {
		t.Error("to look makes known")
	}
	x.Of(999, 10, now).Take(r, now, 1)
	if x.Look(999, r, now) == 0 || x.Look(999, broker.Rate{}, now) != 0 {
		t.Error("how long the last one has to wait")
	}
	now += int64(time.Minute)
	x.Of(5000, 10, now).Take(r, now, 1)
	for i := range 9 { // those at rest go first
		x.Of(6000+i, 10, now).Take(r, now, 1)
	}
	if x.Look(5000, r, now) == 0 {
		t.Error("who is held back was given up for nothing")
	}
}
