package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// batcher is an engine that stores batches, and of which tests say what fails.
type batcher struct {
	broker.Engine
	fails func(batch []broker.Append) error
	tried []int // the sizes of the batches
}

func (e *batcher) PublishAll(ctx context.Context, batch []broker.Append) (receipts []broker.Receipt, err error) {
	e.tried = append(e.tried, len(batch))
	if err := e.fails(batch); err != nil {
		return nil, err
	}
	for _, a := range batch {
		r, err := e.Publish(ctx, a)
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func TestAccepted_CommitEach_stores_all_up_to_the_one_at_fault(t *testing.T) {
	full, away := broker.Errorf(broker.Unavailable, "full"), errors.New("away")
	at := func(i int, err error) error { return &broker.BatchError{Index: i, Err: err} }
	for name, c := range map[string]struct {
		fails          func(n int) error
		stored, failed int
		err            string
		tried          []int
	}{
		"none":                       {func(int) error { return nil }, 5, 0, "<nil>", []int{5}},
		"the last":                   {func(n int) error { return map[int]error{5: at(4, full)}[n] }, 4, 1, "item 4: full", []int{5, 4}},
		"one, and then one before":   {func(n int) error { return map[int]error{5: at(3, full), 3: at(1, full)}[n] }, 1, 1, "item 1: full", []int{5, 3, 1}},
		"the first":                  {func(int) error { return at(0, full) }, 0, 1, "item 0: full", []int{5}},
		"all":                        {func(int) error { return away }, 0, 5, "item 0: away", []int{5}},
		"one, and then the disk":     {func(n int) error { return map[int]error{5: at(3, full), 3: away}[n] }, 0, 3, "item 0: away", []int{5, 3}},
		"one that is not in a batch": {func(int) error { return at(7, full) }, 0, 5, "item 0: item 7: full", []int{5}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &batcher{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), fails: func(batch []broker.Append) error { return c.fails(len(batch)) }}
			b := brokertest.New(t, broker.Options{Engine: e})
			var a broker.Accepted
			for i := range 5 {
				more, err := b.Accept(ctx, broker.Principal{}, []broker.Publication{{Message: &broker.Message{Channel: "/a", ID: fmt.Sprint(i), Data: []byte("1")}}})
				if err != nil {
					t.Fatal(err)
				}
				a = a.And(more)
			}
			receipts, failed, err := a.CommitEach(ctx)
			if len(receipts) != c.stored || failed != c.failed || fmt.Sprint(err) != c.err || fmt.Sprint(e.tried) != fmt.Sprint(c.tried) {
				t.Errorf("%d receipts, %d failed with %v, tried were %v", len(receipts), failed, err, e.tried)
			}
			for i, r := range receipts {
				if r.ID != fmt.Sprint(i) {
					t.Errorf("receipt %d is of %s", i, r.ID)
				}
			}
			s := b.Stats()
			if rejected := s.Rejected[broker.Unavailable] + s.Rejected[broker.Internal]; s.Published != uint64(c.stored) || int(rejected) < c.failed {
				t.Errorf("counted are %d published and %d rejected", s.Published, rejected)
			}
		})
	}
}

// With an engine that is no Batcher it is one after the other, and what follows a failure is not tried.
func TestAccepted_CommitEach_without_batches(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	a, err := b.Accept(ctx, broker.Principal{}, []broker.Publication{
		{Message: &broker.Message{Channel: "/a", ID: "1", Data: []byte("1")}}, {Message: &broker.Message{Channel: "/a", ID: "2", Data: []byte("1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if receipts, failed, err := a.From(1).CommitEach(ctx); err != nil || failed != 0 || len(receipts) != 1 || receipts[0].ID != "2" {
		t.Errorf("%+v, %d, %v", receipts, failed, err)
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if receipts, failed, err := a.CommitEach(ctx); err == nil || failed != 1 || len(receipts) != 0 {
		t.Errorf("after the end: %+v, %d, %v", receipts, failed, err)
	}
}
