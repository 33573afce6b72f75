//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// driver runs one client: through a script of drivers/, or `waft subscribe` by
// itself. Its methods give commands and wait for what the client does.
type driver struct {
	*diary
	proc     *process
	commands io.WriteCloser
	ended    chan struct{} // closed after its last event
}

// drive starts a driver that ends with the test.
func drive(t *testing.T, name string, cmd *exec.Cmd) *driver {
	t.Helper()
	return driveAs(t, name, cmd, func(line []byte) (e event, err error) {
		err = json.Unmarshal(line, &e)
		return e, err
	})
}

// driveAs is drive for a program whose lines are no events until read has made
// some of them.
func driveAs(t *testing.T, name string, cmd *exec.Cmd, read func(line []byte) (event, error)) *driver {
	t.Helper()
	d := &driver{diary: newDiary(), ended: make(chan struct{})}
	output, lines := io.Pipe()
	cmd.Stdout = lines
	var err error
	if d.commands, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if d.proc, err = start(name, cmd); err != nil {
		t.Fatal(err)
	}
	go d.listen(output, read)
	go func() {
		<-d.proc.gone
		lines.Close()
	}()
	t.Cleanup(func() {
		d.commands.Close()
		d.proc.stop()
		<-d.ended
	})
	return d
}

func (d *driver) listen(output io.Reader, read func([]byte) (event, error)) {
	defer close(d.ended)
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 16<<20) // a long poll may bring everything at once
	for lines.Scan() {
		d.take(read(lines.Bytes()))
	}
	if err := lines.Err(); err != nil {
		d.take(event{}, err)
	}
}

// command writes one line to the driver.
func (d *driver) command(t *testing.T, fields map[string]any) {
	t.Helper()
	line, err := json.Marshal(fields)
	if err == nil {
		_, err = d.commands.Write(append(line, '\n'))
	}
	if err != nil {
		t.Fatalf("%s: command %s: %v\n%s", d.proc.name, line, err, d.proc.log)
	}
}

// wait blocks until done, which is called with d.mu held, reports true. Its
// error says what came instead.
func (d *driver) wait(what string, done func() bool) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	gone := false
	for {
		d.mu.Lock()
		finished, changed, err := done(), d.changed, d.broken
		seen := fmt.Sprint(d.seen)
		d.mu.Unlock()
		switch {
		case err != nil:
		case finished:
			return nil
		case gone:
			err = errors.New("the client has ended")
		default:
			select {
			case <-changed:
			case <-d.ended:
				gone = true // and one more look at what it left
			case <-timeout.C:
				err = fmt.Errorf("not within %v", patience)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: waiting for %s: %w\nevents: %s\nend of its log: %s", d.proc.name, what, err, seen, d.proc.log)
		}
	}
}

// waitFor waits until n events of a kind have come, or until the client has
// failed, and returns that failure.
func (d *driver) waitFor(t *testing.T, kind string, n int) (failure *event) {
	t.Helper()
	err := d.wait(fmt.Sprintf("%d × %q", n, kind), func() bool {
		if d.seen[kind] < n && d.failure == nil {
			return false
		}
		failure, d.failure = d.failure, nil
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return failure
}

// subscribe gives the command to subscribe; subscribed waits for it to be done.
// There are two so that many clients can be busy at a time.
func (d *driver) subscribe(t *testing.T, channels ...string) *driver {
	t.Helper()
	d.command(t, map[string]any{"op": "subscribe", "channels": channels})
	return d
}

func (d *driver) subscribed(t *testing.T) {
	t.Helper()
	if failure := d.waitFor(t, "ready", 1); failure != nil {
		t.Fatalf("%s: not subscribed: %s", d.proc.name, failure.Error)
	}
}

// publish has the client publish the texts in order, and waits until each is
// acknowledged.
func (d *driver) publish(t *testing.T, channel string, texts ...string) {
	t.Helper()
	if failure := d.tryPublish(t, channel, texts...); failure != nil {
		t.Fatalf("%s: not published: %s", d.proc.name, failure.Error)
	}
}

func (d *driver) tryPublish(t *testing.T, channel string, texts ...string) (failure *event) {
	t.Helper()
	before := d.count("published")
	for _, text := range texts {
		d.command(t, map[string]any{"op": "publish", "channel": channel, "text": text})
	}
	return d.waitFor(t, "published", before+len(texts))
}

// until waits for a message. It returns all that have come on the channel, also
// if that one has not.
func (d *driver) until(channel, text string) ([]string, error) {
	err := d.wait(fmt.Sprintf("%s on %s", text, channel), func() bool {
		return slices.Contains(d.messages[channel], text)
	})
	return d.received(channel), err
}

// received is what has come on a channel so far.
func (d *driver) received(channel string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.messages[channel])
}

// count is how many events of a kind have come.
func (d *driver) count(kind string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen[kind]
}

// mustUse fails the test unless the client comes to connect by the transport. Faye's may begin with another: before an EventSource, and
// while its WebSocket is not yet open.
func (d *driver) mustUse(t *testing.T, transport string) {
	t.Helper()
	if err := d.wait("a connect by "+transport, func() bool { return d.transport == transport }); err != nil {
		t.Error(err)
	}
}
