//go:build interop

package interop

import (
	"errors"
	"fmt"
	"time"
)

// patience is how long any one step may take before the test gives up: long, for it is a bound on failure only, and starting
// everything at once on two cores takes a server its time.
const patience = time.Minute

// errFinal ends an await at once: what is waited for can no longer come.
var errFinal = errors.New("the program has ended")

// await tries until it succeeds. Other people's programs have no way to tell
// that they are ready, so they are asked again and again.
func await(what string, try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if errors.Is(err, errFinal) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not after %v: %w", what, patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
