package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// order is what a worker is told, one line of JSON each on its stdin: first assign, then any number of mark, report and say.
// The end of stdin ends it.
type order struct {
	Assign *assignment `json:"assign,omitempty"`
	Mark   []uint64    `json:"mark,omitempty"`   // published so far, by publisher: count from here
	Report []uint64    `json:"report,omitempty"` // the same: what was seen since?
	Say    string      `json:"say,omitempty"`    // a stanza, on the component's link; has no answer but what the component says
}

// news is what a worker tells, one line of JSON each on its stdout.
type news struct {
	Progress *progress `json:"progress,omitempty"` // while it connects
	Ready    *opened   `json:"ready,omitempty"`    // the answer to assign
	Marked   bool      `json:"marked,omitempty"`   // the answer to mark
	Report   *tally    `json:"report,omitempty"`   // the answer to report
	Done     []done    `json:"done,omitempty"`     // at any time
	Said     []said    `json:"said,omitempty"`     // likewise
	Failed   string    `json:"failed,omitempty"`   // it cannot go on
}

type progress struct {
	Connected int `json:"connected"`
	Failed    int `json:"failed"`
}

// Work is a worker: it does what it is told on stdin until that ends.
func Work(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	w := &worker{out: json.NewEncoder(stdout)}
	w.out.SetEscapeHTML(false) // stanzas
	err := w.run(ctx, json.NewDecoder(stdin))
	if err != nil {
		_ = w.tell(news{Failed: err.Error()})
	}
	return err
}

type worker struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (w *worker) tell(n news) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Encode(n)
}

func (w *worker) run(ctx context.Context, in *json.Decoder) error {
	var o order
	if err := in.Decode(&o); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading the assignment: %w", err)
	}
	if o.Assign == nil {
		return errors.New("a worker is assigned its work first; `waft bench` starts workers by itself")
	}
	f, err := newFleet(*o.Assign)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() { w.tellDone(ctx, f) })
	// Orders are read while it connects, so that the end of stdin ends that.
	orders := make(chan order)
	telling.Go(func() {
		defer close(orders)
		defer cancel()
		for {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			select {
			case orders <- o:
			case <-ctx.Done():
				return
			}
		}
	})
	err = w.serve(ctx, f, orders)
	cancel()
	f.close()
	if err == nil {
		telling.Wait() // stdin has ended
	}
	return err
}

// serve connects, and does what it is told then.
func (w *worker) serve(ctx context.Context, f *fleet, orders <-chan order) error {
	last := time.Now()
	ready := f.connect(ctx, func(connected, failed int) {
		if time.Since(last) > progressEvery/2 {
			last = time.Now()
			_ = w.tell(news{Progress: &progress{connected, failed}})
		}
	})
	if err := w.tell(news{Ready: ready}); err != nil {
		return err
	}
	for o := range orders {
		answer := news{}
		switch {
		case o.Say != "":
			f.speak(o.Say)
			continue
		case o.Mark != nil:
			f.mark(o.Mark)
			answer.Marked = true
		case o.Report != nil:
			t := f.report(o.Report)
			t.PID = os.Getpid()
			if u, err := readStat(t.PID); err == nil {
				t.CPU = u.cpu.Seconds()
			}
			answer.Report = &t
		}
		if err := w.tell(answer); err != nil {
			return err
		}
	}
	return nil
}

// tellDone tells what is finished, and what the component says, as soon as it is, and what comes meanwhile all at once.
func (w *worker) tellDone(ctx context.Context, f *fleet) {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		if d, s := f.takeFinished(); len(d)+len(s) > 0 {
			if w.tell(news{Done: d, Said: s}) != nil {
				return
			}
		}
	}
}
