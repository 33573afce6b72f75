//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// peer is somebody else's software that a test needs.
type peer struct {
	name string

	// missing returns why the peer cannot be used, and what to do.
	missing func() error
}

// need ends the test if a peer is missing: with a skip, or with a failure where
// all peers were promised to be there.
func need(t *testing.T, peers ...peer) {
	t.Helper()
	if err := missing(peers...); err != nil {
		doWithout(t, err)
		t.Skip(err)
	}
}

// doWithout fails the test if what is missing was promised to be there.
func doWithout(t *testing.T, missing error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true promises all peers: %v", missing)
	}
}

// missing says which of the peers cannot be used, and why.
func missing(peers ...peer) error {
	for _, p := range peers {
		if err := p.missing(); err != nil {
			return fmt.Errorf("%s is missing: %w", p.name, err)
		}
	}
	return nil
}

var (
	curlPeer     = program("curl", "apt-get install curl", "curl", "--version")
	nodePeer     = npm()
	rubyFaye     = program("Faye Ruby", "apt-get install ruby-faye", systemRuby, "-e", `require "faye"`)
	slixmppPeer  = program("slixmpp", "apt-get install python3-slixmpp", systemPython, "-c", "import slixmpp")
	prosodyPeer  = peer{"Prosody", func() error { return installed("prosody", "apt-get install prosody") }}
	ejabberdPeer = peer{"ejabberd", func() error { _, err := erlangLibraries(); return err }}
)

// The distribution's own interpreters: the packages belong to them, and another
// one may come first in the path.
const (
	systemRuby   = "/usr/bin/ruby"
	systemPython = "/usr/bin/python3"
)

// program is a peer that is there when the command succeeds.
func program(name, remedy string, command ...string) peer {
	return peer{name, sync.OnceValue(func() error {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err == nil {
			return nil
		}
		if line, _, _ := strings.Cut(string(out), "\n"); line != "" {
			err = fmt.Errorf("%w: %s", err, line)
		}
		return fmt.Errorf("%s: %w; try `%s`", command[0], err, remedy)
	})}
}

// installed is for programs that do more than answer when they are started.
func installed(file, remedy string) error {
	if _, err := exec.LookPath(file); err != nil {
		return fmt.Errorf("%w; try `%s`", err, remedy)
	}
	return nil
}

// npm is Node with the packages of package-lock.json.
func npm() peer {
	node := program("Node", "apt-get install nodejs npm", "node", "--version")
	return peer{"Node with the packages of interop/package-lock.json", func() error {
		if err := node.missing(); err != nil {
			return err
		}
		if _, err := os.Stat("node_modules/faye/package.json"); errors.Is(err, os.ErrNotExist) {
			return errors.New("no node_modules; try `npm ci` in interop/")
		}
		return nil
	}}
}
