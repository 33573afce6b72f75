//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a program that the tests started: waft, a peer or a driver.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *tail         // what it wrote last, for failure messages
	gone chan struct{} // closed when it has ended
}

// start runs cmd. What it writes to stderr is kept, and what it writes to
// stdout too unless the caller has taken that.
func start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: &tail{}, gone: make(chan struct{})}
	cmd.Env = append(environment(), cmd.Env...)
	cmd.Stderr = p.log
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	// Should the tests themselves be killed, nothing of theirs stays behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is of interest only to those who see it in log
		close(p.gone)
	}()
	return p, nil
}

// environment is what programs need, and not what could lead them astray:
// several clients obey proxy variables even for loopback.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}
}

// stop asks the process to end, and makes it end if it takes over ten seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill ends the process as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// tail is an io.Writer that keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 4 << 10

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if over := len(l.text) - tailBytes; over > 0 {
		l.text = append([]byte("…"), l.text[over:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
