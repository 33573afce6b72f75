//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var stracePeer = program("strace", "apt-get install strace", "strace", "--version")

// syncCalls are the system calls that force data to the disk.
const syncCalls = "fsync,fdatasync,sync_file_range"

// slowDisk is a program whose every fsync takes longer than it would: strace has hold of it, and keeps whoever made the call waiting
// afterwards. The program is what it always was. All its other system calls are slower too, by some microseconds.
type slowDisk struct {
	of     *process
	strace *process
	file   string // what strace has seen
}

// slowDown has every fsync of the program take so much longer, from its return on. The program is stopped meanwhile, so that strace
// misses no thread that is just being born.
func slowDown(t *testing.T, of *process, delay time.Duration) (*slowDisk, error) {
	d := &slowDisk{of: of, file: filepath.Join(t.TempDir(), "calls")}
	if err := of.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	err := await("all threads of "+of.name+" to stop", func() error { return stoppedAll(of.cmd.Process.Pid) })
	if err == nil {
		d.strace, err = start("strace", exec.Command("strace", "-f", "-p", strconv.Itoa(of.cmd.Process.Pid), "-o", d.file,
			"-e", "signal=none", "-e", "trace="+syncCalls, "-e", fmt.Sprintf("inject=%s:delay_exit=%dms", syncCalls, delay.Milliseconds())))
	}
	if err == nil {
		err = await("strace", func() error {
			select {
			case <-d.strace.gone:
				return fmt.Errorf("%w: %s", errFinal, d.strace.log)
			default:
			}
			if !strings.Contains(d.strace.log.String(), " attached") {
				return errors.New("it has not attached itself")
			}
			return nil
		})
	}
	if again := of.cmd.Process.Signal(syscall.SIGCONT); again != nil {
		err = errors.Join(err, again)
	}
	if err != nil && d.strace != nil {
		d.strace.kill()
	}
	return d, err
}

// stoppedAll tells why a process is not stopped, with all its threads. (proc(5): the state stands behind the name, which is in parentheses.)
func stoppedAll(pid int) error {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%w: it has no threads", errFinal)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if at := bytes.LastIndex(text, []byte(") ")); at < 0 || text[at+2] != 'T' {
			return fmt.Errorf("%s is %s", file, text[at+1:])
		}
	}
	return nil
}

// count is how many calls were held up: whoever slows down nothing proves nothing.
func (d *slowDisk) count() int {
	text, _ := os.ReadFile(d.file)
	return bytes.Count(text, []byte("(DELAYED)"))
}

// end has strace let go.
func (d *slowDisk) end() {
	_ = d.strace.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-d.strace.gone:
	case <-time.After(patience):
		d.strace.kill()
	}
}

// maySlowDown tries whether this machine lets one process have hold of another.
func maySlowDown(t *testing.T) error {
	if err := missing(stracePeer); err != nil {
		doWithout(t, err)
		return err
	}
	sleeper, err := start("sleep", exec.Command("sleep", "60"))
	if err != nil {
		return err
	}
	defer sleeper.kill()
	d, err := slowDown(t, sleeper, time.Millisecond)
	if err != nil {
		return err
	}
	d.end()
	return nil
}
