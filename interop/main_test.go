//go:build interop

package interop

import (
	"fmt"
	"os"
	"testing"
)

// workDir holds what outlives a single test: the built program and the XMPP
// servers' files.
var workDir string

var atExitFuncs []func()

// atExit has f called when all tests are done.
func atExit(f func()) { atExitFuncs = append(atExitFuncs, f) }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "waft-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
	workDir = dir
	code := m.Run()
	for _, f := range atExitFuncs {
		f()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}
