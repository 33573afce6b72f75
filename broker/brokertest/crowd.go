package brokertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
)

// Member is a connection of a crowd.
type Member struct {
	Say   []Line // one after the other
	Again []byte // sent whenever a message has come
}

// Line is what a member sends, and what it reads before it goes on.
type Line struct {
	Text  []byte
	Until string
}

// Crowd is another process, which reads for subscribers, so that what they cost is not counted. A message is an exclamation mark.
type Crowd struct {
	t        testing.TB
	progress *bufio.Reader // a byte for each time that all have a message
}

const crowdAddress = "WAFT_CROWD_ADDRESS"

// StartCrowd connects all members to the address, and returns when they have said their lines. The package's tests have
//
//	func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
func StartCrowd(t testing.TB, address string, members []Member) *Crowd {
	t.Helper()
	roll, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
	p.Env = append(os.Environ(), crowdAddress+"="+address)
	p.Stdin, p.Stderr = bytes.NewReader(roll), os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	c := &Crowd{t, bufio.NewReader(out)}
	c.Wait()
	return c
}

// Wait returns when another message is with all.
func (c *Crowd) Wait() {
	if b, err := c.progress.ReadByte(); err != nil || b != '.' {
		c.t.Helper()
		c.t.Fatalf("the crowd is gone: %q %v", b, err)
	}
}

// RunCrowd is the other process. In a run of tests it does nothing.
func RunCrowd(t *testing.T) {
	address := os.Getenv(crowdAddress)
	if address == "" {
		return
	}
	var members []Member
	if err := json.NewDecoder(os.Stdin).Decode(&members); err != nil {
		t.Fatal(err)
	}
	var received atomic.Int64
	gone := make(chan error, len(members))
	for _, m := range members {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReaderSize(nc, 2048)
		for _, line := range m.Say {
			if err := line.say(nc, r); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			gone <- m.listen(nc, r, func() {
				if received.Add(1)%int64(len(members)) == 0 {
					_, _ = os.Stdout.WriteString(".")
				}
			})
		}()
	}
	_, _ = os.Stdout.WriteString(".")
	t.Fatal(<-gone)
}

func (l Line) say(w io.Writer, r *bufio.Reader) error {
	if _, err := w.Write(l.Text); err != nil {
		return err
	}
	for heard := []byte{}; !bytes.HasSuffix(heard, []byte(l.Until)); {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		heard = append(heard, b)
	}
	return nil
}

func (m Member) listen(w io.Writer, r *bufio.Reader, heard func()) error {
	for {
		if _, err := r.Peek(1); err != nil {
			return err
		}
		part, _ := r.Peek(r.Buffered())
		n := bytes.Count(part, []byte("!"))
		_, _ = r.Discard(len(part))
		for range n {
			if _, err := w.Write(m.Again); err != nil {
				return err
			}
			heard()
		}
	}
}
