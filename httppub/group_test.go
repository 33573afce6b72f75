package httppub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"waft/broker"
)

// grouping is an engine that is a Batcher, and counts how often it is waited for.
type grouping struct {
	broker.Engine
	commits []int                     // how many messages each had
	fault   func(broker.Append) error // what is wrong with a message; nil: nothing
	failing func(n int) error         // of a whole batch of n; nil: none fails
}

func newGrouping() *grouping {
	return &grouping{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
}

func (e *grouping) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	r, err := e.PublishAll(ctx, []broker.Append{a})
	if at, ok := errors.AsType[*broker.BatchError](err); ok {
		return broker.Receipt{}, at.Err
	} else if err != nil {
		return broker.Receipt{}, err
	}
	return r[0], nil
}

func (e *grouping) PublishAll(ctx context.Context, batch []broker.Append) (receipts []broker.Receipt, err error) {
	for i, a := range batch {
		if e.fault == nil {
			break
		}
		if err := e.fault(a); err != nil {
			return nil, &broker.BatchError{Index: i, Err: err}
		}
	}
	if e.failing != nil {
		if err := e.failing(len(batch)); err != nil {
			return nil, err
		}
	}
	e.commits = append(e.commits, len(batch))
	for _, a := range batch {
		r, err := e.Engine.Publish(ctx, a)
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (e *grouping) expect(t *testing.T, commits ...int) {
	t.Helper()
	if fmt.Sprint(e.commits) != fmt.Sprint(commits) {
		t.Errorf("the engine was waited for with %v messages, want %v", e.commits, commits)
	}
	e.commits = nil
}

func items(from, to int, channel string) string {
	var text strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&text, `{"channel":%q,"id":"%d","fpp":%d}`+"\n", channel, i, i)
	}
	return text.String()
}

func TestBulk_what_came_together_waits_for_the_disk_once(t *testing.T) {
	e := newGrouping()
	d := openDoor(t, Options{}, broker.Options{Engine: e})
	got := d.load(t, items(1, 3, "a")+"\nnonsense\n"+items(3, 4, "a")+`{"channel":"meta/x","fpp":1}`+"\n"+items(5, 5, "b"))
	expectLines(t, got, `{"line":1,"id":"1","channel":"/a","position":"`, `{"line":2,"id":"2"`, `{"line":3,"id":"3"`, `{"line":5,"code":"invalid"`,
		`{"line":6,"id":"3","channel":"/a","position":"`, `{"line":7,"id":"4"`, `{"line":8,"code":"forbidden"`, `{"line":9,"id":"5","channel":"/b"`,
		`{"done":true,"lines":9,"published":5,"duplicates":1,"held":0,"refused":2}`)
	if !strings.Contains(got[4], `"duplicate":true`) {
		t.Error(got[4])
	}
	e.expect(t, 6)
	d.expect(t, "/a #1 1", "/a #2 2", "/a #3 3", "/a #4 4", "/b #5 5")

	d.load(t, items(1, 2*groupLines+10, "c"))
	for _, n := range e.commits {
		if n > groupLines {
			t.Errorf("%d lines in a group", n)
		}
	}
	e.commits = nil
	big := `{"channel":"d","fpp":"` + strings.Repeat("x", groupBytes/3) + `"}` + "\n"
	d.load(t, strings.Repeat(big, 7), func(r *http.Request) { r.ContentLength = -1 })
	for _, n := range e.commits {
		if n > 3 {
			t.Errorf("%d lines of %d bytes in a group", n, len(big))
		}
	}
}

// The lines that are read at once are more than 64 KB in no test: the limits of a group hold all the same.
func TestBulk_a_group_is_bounded(t *testing.T) {
	var g group
	for n := range groupLines {
		if g.full() {
			t.Fatalf("it is full with %d lines", n)
		}
		g.lines = append(g.lines, answeredLine{})
	}
	if !g.full() {
		t.Error("it is never full of lines")
	}
	if g = (group{bytes: groupBytes}); !g.full() || (&group{bytes: groupBytes - 1}).full() {
		t.Error("it is not full of bytes when it is")
	}
}

// What has not arrived is not waited for: who sends line by line is answered line by line.
func TestBulk_a_group_does_not_wait(t *testing.T) {
	e := newGrouping()
	d := openDoor(t, Options{}, broker.Options{Engine: e})
	s := openStream(t, d.serve(t))
	s.send(items(1, 2, "a") + `{"channel":"a",`)
	answers := s.answer(t)
	expectLines(t, []string{readLine(t, answers), readLine(t, answers)}, `{"line":1,"id":"1"`, `{"line":2,"id":"2"`)
	s.send(`"fpp":3}` + "\n")
	expectLines(t, []string{readLine(t, answers)}, `{"line":3,"id"`)
	fmt.Fprint(s.conn, "0\r\n\r\n")
	expectLines(t, []string{readLine(t, answers)}, `{"done":true,"lines":3,`)
	e.expect(t, 2, 1)
}

func TestBulk_one_line_the_engine_refuses_is_no_other_lines_fault(t *testing.T) {
	e := newGrouping()
	e.fault = func(a broker.Append) error {
		switch {
		case a.Message.ID == "3" || a.Message.ID == "4":
			return broker.Errorf(broker.TooLarge, "that is too much")
		case a.Message.Channel == "/full":
			return broker.Errorf(broker.Unavailable, "the realm stores all it may")
		}
		return nil
	}
	d := openDoor(t, Options{}, broker.Options{Engine: e})
	expectLines(t, d.load(t, items(1, 6, "a")), `{"line":1,"id":"1"`, `{"line":2,"id":"2"`, `{"line":3,"code":"too_large","message":"that is too much"}`,
		`{"line":4,"code":"too_large"`, `{"line":5,"id":"5"`, `{"line":6,"id":"6"`, `{"done":true,"lines":6,"published":4,"duplicates":0,"held":0,"refused":2}`)
	e.expect(t, 2, 2)
	// After what it cannot get over nothing is published: the order is that of the lines.
	expectLines(t, d.load(t, items(7, 8, "a")+items(9, 9, "full")+items(10, 12, "a")), `{"line":1,"id":"7"`, `{"line":2,"id":"8"`,
		`{"line":3,"code":"unavailable","message":"the realm stores all it may"}`,
		`{"done":false,"lines":3,"published":2,"duplicates":0,"held":0,"refused":1,"code":"unavailable","message":"it ended at this line; nothing`)
	d.expect(t, "/a #1 1", "/a #2 2", "/a #5 5", "/a #6 6", "/a #7 7", "/a #8 8")
	if s := d.broker.Stats(); s.Published != 6 || s.Rejected[broker.TooLarge] != 2 || s.Rejected[broker.Unavailable] != 1 {
		t.Errorf("counted are %+v", s)
	}
}

// Nobody knows what of a batch is on a disk that failed in that moment: no line of it is told that it was published, and each that it may
// have to be sent again.
func TestBulk_a_disk_that_fails_fails_each_line_of_the_group(t *testing.T) {
	e := newGrouping()
	e.failing = func(n int) error {
		if n > 1 {
			return broker.Errorf(broker.Unavailable, "the disk is away")
		}
		return nil
	}
	d := openDoor(t, Options{}, broker.Options{Engine: e})
	expectLines(t, d.load(t, items(1, 2, "a")+"x\n"+items(3, 3, "a")+"\n"), `{"line":1,"code":"unavailable","message":"the disk is away"}`, `{"line":2,"code":"unavailable"`,
		`{"line":3,"code":"invalid"`, `{"line":4,"code":"unavailable"`, `{"done":false,"lines":4,"published":0,"duplicates":0,"held":0,"refused":4,"code":"unavailable"`)
	d.expect(t)
	if s := d.intake.Stats(); s.RefusedLines != 4 || s.CutStreams != 1 {
		t.Errorf("%+v", s)
	}
}

func TestBulk_a_chain_is_stored_together(t *testing.T) {
	e := newGrouping()
	d := openDoor(t, Options{}, broker.Options{Engine: e})
	chain := items(1, 1, "a")
	for i := 2; i <= 50; i++ {
		chain += fmt.Sprintf(`{"channel":"a","id":"%d","prev-id":"%d","fpp":1}`+"\n", i, i-1)
	}
	expectLines(t, d.load(t, chain)[50:], `{"done":true,"lines":50,"published":50,`)
	e.expect(t, 50)
	// What follows an item that is not there waits, and does not hold up the others.
	got := d.load(t, items(51, 52, "a")+`{"channel":"a","id":"55","prev-id":"54","fpp":1}`+"\n"+items(53, 53, "a"))
	expectLines(t, got, `{"line":1,"id":"51"`, `{"line":2,"id":"52"`, `{"line":3,"id":"55","channel":"/a","duplicate":false,"receivers":0,"held":true}`, `{"line":4,"id":"53"`,
		`{"done":true,"lines":4,"published":3,"duplicates":0,"held":1,`)
	e.expect(t, 2, 1)
}

func TestBulk_ends_after_so_many_refused_lines_with_those_before_them_published(t *testing.T) {
	e := newGrouping()
	d := openDoorWith(t, Options{}, broker.Options{Engine: e}, IntakeOptions{MaxRefusedLines: 2})
	expectLines(t, d.load(t, items(1, 1, "a")+"x\n"+items(2, 2, "a")+"x\n\nx\n"+items(3, 3, "a")), `{"line":1,"id"`, `{"line":2,"code"`, `{"line":3,"id"`, `{"line":4,"code"`, `{"line":6,"code"`,
		`{"done":false,"lines":6,"published":2,"duplicates":0,"held":0,"refused":3,"code":"invalid","message":"so many`)
	d.expect(t, "/a #1 1", "/a #2 2")
}

// Lines in a row are so across groups.
func TestBulk_what_comes_after_too_many_refused_lines_is_not_published(t *testing.T) {
	d := openDoorWith(t, Options{}, broker.Options{Engine: newGrouping()}, IntakeOptions{MaxRefusedLines: 2})
	parts := io.MultiReader(strings.NewReader("x\n"), strings.NewReader("x\n"+items(1, 1, "a")))
	got := d.load(t, "", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(parts), -1 })
	expectLines(t, got, `{"line":1,"code"`, `{"line":2,"code"`, `{"done":false,"lines":2,"published":0,"duplicates":0,"held":0,"refused":2,"code":"invalid","message":"so many`)
	d.expect(t)
}

// places are of a run: epochs, and ids that were assigned.
var places = regexp.MustCompile(`"position":"[^"]*-|"id":"[A-Z2-7]{26}"`)

// However the lines are grouped, the answers and what is delivered are those of one line at a time. (What an engine refuses is known when
// the group is stored: that there were too many in a row, then.)
func TestBulk_groups_change_no_answer(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		var body strings.Builder
		for i := range 60 {
			switch random.IntN(8) {
			case 0:
				body.WriteString("\n")
			case 1:
				body.WriteString("{\n")
			case 2:
				fmt.Fprintf(&body, `{"channel":"a","fpp":%d}`+"\n", i)
			case 3:
				if seed%2 == 0 {
					fmt.Fprintf(&body, `{"channel":"bad","id":"%d","fpp":1}`+"\n", i)
				}
			case 4:
				body.WriteString(items(i/2, i/2, "a"))
			case 5:
				if seed%3 == 0 && i > 40 {
					body.WriteString(items(i, i, "full"))
				}
			default:
				fmt.Fprintf(&body, `{"channel":"c","id":"%d","prev-id":"%d","fpp":%d}`+"\n", i, i-1-random.IntN(2), i)
			}
		}
		most := 1000
		if seed%2 == 1 {
			most = 2 + int(seed%5)
		}
		var answers, delivered [2]string
		for i, change := range []func(*http.Request){
			func(*http.Request) {},
			func(r *http.Request) { r.Body, r.ContentLength = &lineReader{body.String()}, -1 },
		} {
			e := newGrouping()
			e.fault = func(a broker.Append) error {
				switch a.Message.Channel {
				case "/bad":
					return broker.Errorf(broker.Conflict, "not this one")
				case "/full":
					return broker.Errorf(broker.Unavailable, "no more")
				}
				return nil
			}
			d := openDoorWith(t, Options{}, broker.Options{Engine: e}, IntakeOptions{MaxRefusedLines: most, Hold: -1})
			answers[i] = places.ReplaceAllString(strings.Join(d.load(t, body.String(), change), "\n"), "")
			delivered[i] = strings.Join(d.received(), "\n")
			if i == 0 && len(e.commits) > 30 {
				t.Errorf("seed %d: %d commits", seed, len(e.commits))
			}
		}
		if answers[0] != answers[1] || delivered[0] != delivered[1] {
			t.Fatalf("seed %d: of\n%s\ntogether it is\n%s\n%s\nand one by one\n%s\n%s", seed, body.String(), answers[0], delivered[0], answers[1], delivered[1])
		}
	}
}

// lineReader gives one line at a time.
type lineReader struct{ left string }

func (r *lineReader) Read(p []byte) (int, error) {
	if r.left == "" {
		return 0, io.EOF
	}
	n := copy(p, r.left[:strings.IndexByte(r.left, '\n')+1])
	r.left = r.left[n:]
	return n, nil
}

func (*lineReader) Close() error { return nil }

// What was accepted before a rate has to be waited for is published and answered before.
func TestBulk_a_group_ends_where_a_rate_is_waited_for(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newGrouping()
		d := openDoorWith(t, Options{}, broker.Options{Engine: e}, IntakeOptions{Limits: PublishLimits{Channel: 10}})
		expectLines(t, d.load(t, items(1, 53, "a"))[53:], `{"done":true,"lines":53,"published":53,`)
		e.expect(t, 50, 1, 1, 1)
	})
}
