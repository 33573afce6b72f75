package brokertest

import (
	"context"
	"strconv"
	"testing"

	"waft/broker"
)

// RunDurable holds an engine that outlives its process against what that adds to the contract. open gives a way to open
// the same engine, not yet started: the suite closes it and opens it again, as a restart does.
func RunDurable(t *testing.T, open func(t *testing.T) (again func() broker.Engine)) {
	for name, test := range map[string]func(*testing.T, *restarting){
		"a position of before resumes":                             testResumes,
		"keys of before are known":                                 testKeysStand,
		"what was trimmed, removed and replaced stays so":          testChangesStand,
		"what was not kept begins a new epoch":                     testVolatile,
		"the mark stands, and no earlier one comes back":           testMarkStands,
		"a rule that came to keep nothing takes positions with it": testVacated,
		"channels and counts are there again":                      testListed,
		"a limit in bytes counts what is there":                    testBytesStand,
	} {
		t.Run(name, func(t *testing.T) {
			r := &restarting{harness: harness{T: t}, again: open(t)}
			t.Cleanup(func() { r.engine.Close() })
			r.start()
			test(t, r)
		})
	}
}

// restarting is a harness whose engine can be restarted.
type restarting struct {
	harness
	again func() broker.Engine
}

func (r *restarting) start() {
	r.engine = r.again()
	if err := r.engine.Start(r.deliver); err != nil {
		r.Fatalf("start: %v", err)
	}
}

func (r *restarting) restart() {
	r.Helper()
	if err := r.engine.Close(); err != nil {
		r.Fatalf("close: %v", err)
	}
	r.start()
}

func testResumes(_ *testing.T, r *restarting) {
	var at []broker.Position
	for i := range 5 {
		at = append(at, r.publish("/a", strconv.Itoa(i), broker.Append{Keep: keep100}).Position)
	}
	r.restart()
	r.wantIDs(r.history("/a", broker.Range{After: at[2]}).Messages, "3", "4")
	next := r.publish("/a", "5", broker.Append{Keep: keep100}).Position
	if next.Epoch != at[4].Epoch || next.Offset != at[4].Offset+1 {
		r.Errorf("after %v came %v", at[4], next)
	}
	r.wantIDs(r.history("/a", broker.Range{After: at[4]}).Messages, "5")
}

func testKeysStand(_ *testing.T, r *restarting) {
	first := r.publish("/a", "x", broker.Append{Key: "k", Keep: keep100})
	r.restart()
	if again := r.publish("/a", "y", broker.Append{Key: "k", Keep: keep100}); !again.Duplicate || again.ID != "x" || again.Position != first.Position {
		r.Errorf("the repeat was answered %+v, the first %+v", again, first)
	}
	r.wantIDs(r.history("/a", broker.Range{}).Messages, "x")
}

func testChangesStand(_ *testing.T, r *restarting) {
	keep := broker.Retention{Size: 4}
	first := r.publish("/a", "0", broker.Append{Keep: keep}).Position
	for i := 1; i < 6; i++ {
		r.publish("/a", strconv.Itoa(i), broker.Append{Keep: keep})
	}
	if err := r.engine.Remove(context.Background(), "/a", "4", false); err != nil {
		r.Fatal(err)
	}
	r.publish("/a", "3", broker.Append{Keep: keep, Replace: true})
	r.wantIDs(r.history("/a", broker.Range{}).Messages, "2", "5", "3")
	r.restart()
	r.wantIDs(r.history("/a", broker.Range{}).Messages, "2", "5", "3")
	r.wantIDs(r.history("/a", broker.Range{IDs: []string{"3", "4"}}).Messages, "3")
	r.wantKind(r.engine.Remove(context.Background(), "/a", "4", false), broker.NotFound)
	_, err := r.engine.History(context.Background(), "/a", broker.Range{After: first})
	r.wantKind(err, broker.HistoryLost)
	for i := 6; i < 8; i++ {
		r.publish("/a", strconv.Itoa(i), broker.Append{Keep: keep})
	}
	r.wantIDs(r.history("/a", broker.Range{}).Messages, "5", "3", "6", "7")
}

func testVolatile(_ *testing.T, r *restarting) {
	before := r.publish("/a", "x", broker.Append{})
	r.restart()
	after := r.publish("/a", "y", broker.Append{})
	if after.Position.Epoch == before.Position.Epoch {
		r.Error("the epoch was used again")
	}
	_, err := r.engine.History(context.Background(), "/a", broker.Range{After: before.Position})
	r.wantKind(err, broker.HistoryLost)
}

// testVacated changes a rule back and forth: what was published in between is gone, and nobody may be made to believe that
// he has it.
func testVacated(_ *testing.T, r *restarting) {
	r.publish("/a", "kept", broker.Append{Keep: keep100})
	for range 3 {
		r.publish("/a", "passing", broker.Append{})
	}
	last := r.publish("/a", "passing", broker.Append{}).Position
	r.wantIDs(r.history("/a", broker.Range{}).Messages)
	r.restart()
	for i := range 9 {
		r.publish("/a", strconv.Itoa(i), broker.Append{Keep: keep100})
	}
	_, err := r.engine.History(context.Background(), "/a", broker.Range{After: last})
	r.wantKind(err, broker.HistoryLost)
}

func testListed(_ *testing.T, r *restarting) {
	for _, c := range []broker.Channel{"/b", "/a"} {
		r.publish(c, "1", broker.Append{Keep: keep100})
	}
	before := r.engine.Stats()
	r.restart()
	list, err := r.engine.Channels(context.Background(), broker.PatternsOf("/*"), "", 0)
	if err != nil || len(list) != 2 || list[0].Channel != "/a" || list[1].Messages != 1 {
		r.Errorf("listed are %+v, %v", list, err)
	}
	if after := r.engine.Stats(); after != before || after.Messages != 2 || after.Bytes == 0 {
		r.Errorf("counted were %+v, then %+v", before, after)
	}
}
