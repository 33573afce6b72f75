//go:build interop

package interop

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuickStart_printed_commands_work_as_they_are(t *testing.T) {
	need(t, curlPeer)
	path := "PATH=" + filepath.Dir(executable(t)) + ":/usr/bin:/bin"

	// No file and no key; the addresses only keep out of the way of whatever
	// else runs on this machine.
	serve := exec.Command(executable(t), "serve", "--listen", freeAddr(), "--admin-listen", freeAddr())
	serve.Args[0] = "waft" // as a user types it
	serve.Dir = t.TempDir()
	p, err := start("waft", serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)

	var subscribe, publish string
	err = await("the commands to paste", func() error {
		for line := range strings.Lines(p.log.String()) {
			switch line = strings.TrimSpace(line); {
			case strings.HasPrefix(line, "waft subscribe "):
				subscribe = line
			case strings.HasPrefix(line, "curl "):
				publish = line
			}
		}
		if subscribe == "" || publish == "" {
			return errors.New("not printed")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}

	reading := exec.Command("sh", "-c", "exec "+subscribe)
	reading.Env = []string{path}
	reader := waftSubscriber(t, reading)
	reader.subscribed(t)
	if out, err := exec.Command("sh", "-c", publish).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", publish, err, out)
	}
	if _, err := reader.until("/chat/hello", `{"text":"hi"}`); err != nil {
		t.Error(err)
	}
}
