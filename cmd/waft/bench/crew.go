package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Process is a worker: a process that runs Work on its stdin and stdout.
type Process struct {
	Stdin  io.WriteCloser // its end ends the worker
	Stdout io.Reader
	Wait   func() error // until it has ended; called once, after Stdout has ended
}

// Command gives workers that are processes of this very program, run with args.
func Command(stderr io.Writer, args ...string) func(context.Context) (*Process, error) {
	return func(ctx context.Context) (*Process, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // ourselves
		cmd.Stderr = stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &Process{stdin, stdout, cmd.Wait}, nil
	}
}

// crew is the workers of a run.
type crew struct {
	workers []*hand
	done    func(done) // called from several goroutines
	said    func(said) // likewise
}

// hand is one worker.
type hand struct {
	*Process
	assignment assignment
	answers    chan news     // but for progress and done
	ended      chan struct{} // closed after the last answer
	reading    sync.WaitGroup

	telling sync.Mutex // orders are whole
	out     *json.Encoder

	mu       sync.Mutex
	progress progress
}

var errWorkerEnded = errors.New("a worker process has ended")

// hire starts a worker for each assignment.
func hire(ctx context.Context, start func(context.Context) (*Process, error), work []assignment, finished func(done), answered func(said)) (*crew, error) {
	c := &crew{done: finished, said: answered}
	for _, a := range work {
		p, err := start(ctx)
		if err != nil {
			c.dismiss()
			return nil, fmt.Errorf("starting a worker process: %w", err)
		}
		w := &hand{Process: p, assignment: a, out: json.NewEncoder(p.Stdin), answers: make(chan news), ended: make(chan struct{})}
		w.reading.Go(func() { c.listen(ctx, w) })
		c.workers = append(c.workers, w)
		w.out.SetEscapeHTML(false) // stanzas
		if err := w.tell(order{Assign: &a}); err != nil {
			c.dismiss()
			return nil, fmt.Errorf("telling a worker process what to do: %w", err)
		}
	}
	return c, nil
}

// listen takes what a worker tells.
func (c *crew) listen(ctx context.Context, w *hand) {
	defer close(w.ended)
	in := json.NewDecoder(w.Stdout)
	for {
		var n news
		if in.Decode(&n) != nil {
			return
		}
		for _, d := range n.Done {
			c.done(d)
		}
		for _, s := range n.Said {
			c.said(s)
		}
		switch {
		case n.Progress != nil:
			w.mu.Lock()
			w.progress = *n.Progress
			w.mu.Unlock()
		case n.Done == nil && n.Said == nil:
			select {
			case w.answers <- n:
			case <-ctx.Done():
			}
		}
	}
}

// tell gives a worker an order.
func (w *hand) tell(o order) error {
	w.telling.Lock()
	defer w.telling.Unlock()
	return w.out.Encode(o)
}

// answer waits for a worker's answer.
func (w *hand) answer(ctx context.Context) (news, error) {
	select {
	case n := <-w.answers:
		if n.Failed != "" {
			return n, errors.New(n.Failed)
		}
		return n, nil
	case <-w.ended:
		return news{}, errWorkerEnded
	case <-ctx.Done():
		return news{}, ctx.Err()
	}
}

// connected waits until all have connected; look is called with how far they are, every now and then.
func (c *crew) connected(ctx context.Context, look func(progress)) (*opened, error) {
	waiting, stop := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		t := time.NewTicker(progressEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				look(c.progress())
			case <-waiting.Done():
				return
			}
		}
	})
	defer looking.Wait()
	defer stop()
	all := &opened{Latency: newLatencies()}
	for _, w := range c.workers {
		n, err := w.answer(ctx)
		if err != nil {
			return nil, err
		}
		if n.Ready == nil {
			return nil, errors.New("a worker process gave a wrong answer")
		}
		all.Connected += n.Ready.Connected
		all.Failed += n.Ready.Failed
		all.Waited = max(all.Waited, n.Ready.Waited)
		if all.Error == "" {
			all.Error = n.Ready.Error
		}
		all.Latency.add(n.Ready.Latency)
	}
	return all, nil
}

func (c *crew) progress() (p progress) {
	for _, w := range c.workers {
		w.mu.Lock()
		p.Connected += w.progress.Connected
		p.Failed += w.progress.Failed
		w.mu.Unlock()
	}
	return p
}

// mark has all begin to count anew.
func (c *crew) mark(ctx context.Context, published []uint64) error {
	for _, w := range c.workers {
		if err := w.tell(order{Mark: published}); err != nil {
			return err
		}
		if _, err := w.answer(ctx); err != nil {
			return err
		}
	}
	return nil
}

// report is what all have seen since the mark, and the processor time of each process since it began.
func (c *crew) report(ctx context.Context, published []uint64) (*tally, map[int]float64, error) {
	all, cpu := newTally(), map[int]float64{}
	for _, w := range c.workers {
		if err := w.tell(order{Report: published}); err != nil {
			return nil, nil, err
		}
		n, err := w.answer(ctx)
		if err != nil {
			return nil, nil, err
		}
		if n.Report == nil {
			return nil, nil, errors.New("a worker process gave a wrong answer")
		}
		all.add(n.Report)
		cpu[n.Report.PID] = n.Report.CPU
	}
	return &all, cpu, nil
}

// dismiss ends all workers.
func (c *crew) dismiss() {
	for _, w := range c.workers {
		_ = w.Stdin.Close()
	}
	for _, w := range c.workers {
		w.reading.Wait()
		_ = w.Wait()
	}
}

// linked is the worker that has the component's link.
func (c *crew) linked() *hand {
	for _, w := range c.workers {
		if w.assignment.Link {
			return w
		}
	}
	return nil
}

// receivers is how many workers have subscribers of a channel.
func (c *crew) receivers(channel int) (n int) {
	for _, w := range c.workers {
		if a := &w.assignment; a.plan().members(a.First, a.Count, channel) > 0 {
			n++
		}
	}
	return n
}
