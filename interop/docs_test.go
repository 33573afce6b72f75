//go:build interop

package interop

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The JavaScript of docs/events.md and docs/websocket.md, as it stands there, in Node.js with npm's EventSource and WebSocket. The address that the pages
// have is exchanged, and a path is one of the server's, as it is in a page that came from there.
const docsPrelude = `
import { createHmac } from 'node:crypto';
import { EventSource as RealEventSource } from 'eventsource';
import { WebSocket as RealWebSocket } from 'ws';
const host = process.env.WAFT_HOST;
class EventSource extends RealEventSource {
  constructor(url) { super(new URL(url, 'http://' + host)); }
}
class WebSocket extends RealWebSocket {
  constructor(url, protocols) {
    super(url.replace('127.0.0.1:8080', host), protocols);
    this.on('error', () => {}); // browsers do not throw it
  }
}
// The first token is good for five seconds (waft gives each half a minute more, for clocks that differ), the next for long. That one is there when the
// test says so.
let life = 5 - 30;
async function freshToken() {
  if (life > 0) await new Promise((given) => process.stdin.once('data', given));
  const encode = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const signed = encode({ alg: 'HS256' }) + '.' + encode({ iss: 'default', exp: Math.ceil(Date.now() / 1000) + life });
  life = 100;
  return signed + '.' + createHmac('sha256', Buffer.from(process.env.WAFT_REALM_KEY, 'base64')).update(signed).digest('base64url');
}
Math.random = () => 0.01; // nobody waits long before coming back
`

// docsExamples are the page's blocks of JavaScript.
func docsExamples(t *testing.T, page string, n int) (examples []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```js\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		examples = append(examples, m[1])
	}
	if len(examples) != n {
		t.Fatalf("%s has %d examples, and %d are tested", page, len(examples), n)
	}
	return examples
}

// runExample runs one, for the server at host. What is written to say lets it have its second token.
func runExample(t *testing.T, code, host string) (p *process, say io.Writer) {
	t.Helper()
	need(t, nodePeer, eventsPeer, wsPeer)
	cmd := exec.Command("node", "--input-type=module", "--eval", docsPrelude+code)
	cmd.Env = []string{"WAFT_HOST=" + host, "WAFT_REALM_KEY=" + realmKey}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	t.Cleanup(func() { out.Close() })
	cmd.Stdin = in
	if p, err = start("the example", cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p, out
}

// logs waits until it has logged all lines, and nothing else.
func logs(t *testing.T, p *process, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n")
	if err := await("what it logs", func() error {
		if got := strings.TrimSpace(p.log.String()); got != want {
			return fmt.Errorf("it logged %q, not %q", got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// subscribedTo waits until there are so many subscriptions.
func subscribedTo(t *testing.T, w *waft, n float64) {
	t.Helper()
	if err := await("the subscriptions", func() error { return w.metric("waft_subscriptions", n) }); err != nil {
		t.Fatal(err)
	}
}

func TestDocs_examples_listen(t *testing.T) {
	for name, code := range map[string]string{"events": docsExamples(t, "events.md", 2)[0], "websocket": docsExamples(t, "websocket.md", 2)[0]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWaft(t)
			p, _ := runExample(t, code, strings.TrimPrefix(w.url, "http://"))
			subscribedTo(t, w, 2)
			curl(t, w, "/news", `{"n":1}`)
			logs(t, p, "/news { n: 1 }")
			curl(t, w, "/chat/42", `"hi"`)
			logs(t, p, "/news { n: 1 }", "/chat/42 hi")
		})
	}
}

func TestDocs_an_event_stream_goes_on_with_a_new_token(t *testing.T) {
	t.Parallel()
	w := startWaftWith(t, "\n[[realm.rule]]\nmatch = '/news'\nsubscribe = 'token'\nhistory = { size = 10 }\n")
	p, say := runExample(t, docsExamples(t, "events.md", 2)[1], strings.TrimPrefix(w.url, "http://"))
	subscribedTo(t, w, 1)
	curl(t, w, "/news", `"first"`)
	logs(t, p, "first")
	if err := await("the end of the first stream", func() error { return w.metric("waft_events_streams", 0) }); err != nil {
		t.Fatal(err)
	}
	curl(t, w, "/news", `"second"`)
	if _, err := io.WriteString(say, "\n"); err != nil {
		t.Fatal(err)
	}
	logs(t, p, "first", "second")
	curl(t, w, "/news", `"third"`)
	logs(t, p, "first", "second", "third")
}

func TestDocs_a_websocket_comes_back_from_its_place(t *testing.T) {
	t.Parallel()
	w := startWaft(t)
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	p, _ := runExample(t, docsExamples(t, "websocket.md", 2)[1], r.addr)
	subscribedTo(t, w, 2)
	curl(t, w, "/news", "1")
	logs(t, p, "/news 1")
	for n, want := 2, []string{"/news 1"}; n < 4; n++ { // the second time from a place that it was told when it came back
		r.interrupt()
		subscribedTo(t, w, 0)
		curl(t, w, "/news", fmt.Sprint(n))
		r.resume()
		want = append(want, fmt.Sprintf("/news %d", n))
		logs(t, p, want...)
	}
}
