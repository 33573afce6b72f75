//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
)

// xmppServer is a running XMPP server with the users alice, bob, carol and
// mallory, and a place for waft's component. It serves all tests.
type xmppServer struct {
	name       string
	host       string
	clients    string // address for users
	components string // address for components
	web        string // address for browsers
	webSocket  string // URL there
	proc       *process
	restart    func() error // after proc has ended
}

const (
	password        = "correct horse" // of every user
	componentSecret = "s3cret"
)

var users = []string{"alice", "bob", "carol", "mallory"}

// service is the component's domain.
func (s *xmppServer) service() string { return "waft." + s.host }

func (s *xmppServer) jid(user string) string { return user + "@" + s.host }

var (
	prosody  = sync.OnceValues(startProsody)
	ejabberd = sync.OnceValues(startEjabberd)
)

var xmppKinds = []struct {
	peer
	start func() (*xmppServer, error)
}{{prosodyPeer, prosody}, {ejabberdPeer, ejabberd}}

// running returns a server, which the first to ask for it starts.
func running(t *testing.T, server func() (*xmppServer, error)) *xmppServer {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// xmppServers are those that are installed.
func xmppServers(t *testing.T) (servers []*xmppServer) {
	t.Helper()
	for _, server := range xmppKinds {
		if err := missing(server.peer); err != nil {
			doWithout(t, err)
			t.Log(err)
			continue
		}
		servers = append(servers, running(t, server.start))
	}
	return servers
}

// configure writes the server's configuration into a directory of its own.
func (s *xmppServer) configure(config *template.Template, more ...string) (dir string, err error) {
	dir = filepath.Join(workDir, s.name)
	values := map[string]string{
		"Dir":           dir,
		"ClientPort":    port(s.clients),
		"ComponentPort": port(s.components),
		"WebPort":       port(s.web),
		"Secret":        componentSecret,
	}
	for i := 0; i < len(more); i += 2 {
		values[more[i]] = more[i+1]
	}
	var text strings.Builder
	if err := config.Execute(&text, values); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, config.Name()), []byte(text.String()), 0o600)
}

func (s *xmppServer) start(cmd *exec.Cmd, ready func() error) (err error) {
	again := &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env}
	s.restart = func() error { return s.start(again, ready) }
	if s.proc, err = start(s.name, cmd); err != nil {
		return err
	}
	atExit(s.proc.stop)
	if err := await("start of "+s.name, ready); err != nil {
		return fmt.Errorf("%w\n%s", err, s.proc.log)
	}
	return nil
}
