package openapitest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

func (d *Document) mark(o *Operation, status int) {
	d.markText(o.String() + " " + strconv.Itoa(status))
}

func (d *Document) markEvent(o *Operation, name string) { d.markText(o.String() + " event " + name) }

func (d *Document) markText(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[what] = true
}

// Unseen lists what the document has of the operations, and no exchange had: operations with a status, and events. A failure of the server
// (5xx) is the same everywhere, and is seen if any of them had it.
func (d *Document) Unseen(operations ...string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	missing, failures, failed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, o := range d.operations {
		if !slices.Contains(operations, o.ID) {
			continue
		}
		responses, _ := o.object["responses"].(map[string]any)
		for status := range responses {
			what := o.String() + " " + status
			switch {
			case strings.HasPrefix(status, "5"):
				failures[status] = true
				failed[status] = failed[status] || d.seen[what]
			case !d.seen[what]:
				missing[what] = true
			}
		}
		if _, events, err := d.resolve(o.at + "/responses/200/content/text~1event-stream/x-events"); err == nil {
			for name := range events {
				if what := o.String() + " event " + name; !d.seen[what] {
					missing[what] = true
				}
			}
		}
	}
	for status := range failures {
		if !failed[status] {
			missing["any "+status] = true
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// Tests is what *testing.M is to goleak and to Covered.
type Tests interface{ Run() int }

// Covered are tests that fail if they leave something of the operations unseen; but lists what they may. Where only some tests run, it is
// not asked.
func (d *Document) Covered(m Tests, operations, but []string) Tests {
	return covered{d, m, operations, but}
}

type covered struct {
	d               *Document
	tests           Tests
	operations, but []string
}

// Run implements Tests.
func (c covered) Run() int {
	code := c.tests.Run()
	if code != 0 || !allRan() {
		return code
	}
	for _, what := range c.d.Unseen(c.operations...) {
		if !slices.Contains(c.but, what) {
			fmt.Fprintf(os.Stderr, "FAIL: the OpenAPI document has %s, and no test brings it about\n", what)
			code = 1
		}
	}
	return code
}

func allRan() bool {
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		if f := flag.Lookup("test." + name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	short := flag.Lookup("test.short")
	return short == nil || short.Value.String() != "true"
}
