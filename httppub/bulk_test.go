package httppub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

var isBulk = header("Content-Type", "application/x-ndjson; charset=utf-8")

// load posts lines, and gives those of the answer.
func (d *door) load(t *testing.T, body string, change ...func(*http.Request)) []string {
	t.Helper()
	w := d.post(publishPath, body, append([]func(*http.Request){isBulk}, change...)...)
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "application/x-ndjson" {
		t.Fatalf("%d, %s: %s", w.Code, got, w.Body)
	}
	return strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
}

func expectLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if !strings.HasPrefix(g, w) {
			t.Errorf("line %d is\n\t%s\nand should begin\n\t%s", i+1, g, w)
		}
	}
}

func TestBulk_each_line_is_published_and_answered(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	got := d.load(t, strings.Join([]string{
		`{"channel":"a","id":"1","json-object":{"n":1.0}}`, `{"channel":"a","id":"1","json-object":2}`, "", " \t\r",
		`{"channel":"b","formats":{"fpp":3}}` + "\r", `{"channel":"a b","fpp":4}`, `{"channel":"a"}`, `[1]`, `{"channel":"a","fpp":5`,
		"{\"channel\":\"a\",\"fpp\":\"\xff\"}", `{"channel":"a","fpp":1,"fpp":2}`, `{"channel":"meta/x","fpp":1}`, `{"channel":"a","fpp":` + nested(129) + `}`,
		`{"channel":"a","id":"3","prev-id":"2","fpp":3}`, `{"channel":"a","id":"2","prev-id":"1","fpp":2}`,
	}, "\n"))
	expectLines(t, got,
		`{"line":1,"id":"1","channel":"/a","position":"`,
		`{"line":2,"id":"1","channel":"/a","position":"`,
		`{"line":5,"id":"`,
		`{"line":6,"code":"invalid","message":"channel \"/a b\" has`,
		`{"line":7,"code":"invalid","message":"the item has no known format`,
		`{"line":8,"code":"invalid","message":"an item must be an object, not an array"}`,
		`{"line":9,"code":"invalid","message":"the line is not valid JSON`,
		`{"line":10,"code":"invalid","message":"the line is not valid UTF-8"}`,
		`{"line":11,"code":"invalid","message":"\"fpp\" occurs twice`,
		`{"line":12,"code":"forbidden","message":"`,
		`{"line":13,"code":"invalid","message":"the JSON nests deeper than 128`,
		`{"line":14,"id":"3","channel":"/a","duplicate":false,"receivers":0,"held":true}`,
		`{"line":15,"id":"2","channel":"/a","position":"`,
		`{"done":true,"lines":15,"published":3,"duplicates":1,"held":1,"refused":8}`,
	)
	if !strings.Contains(got[1], `"duplicate":true`) || !strings.Contains(got[2], `"receivers":1`) {
		t.Error(got)
	}
	if err := d.intake.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.expect(t, `/a #1 {"n":1.0}`, "/b 3", "/a #2 2", "/a #3 3")
	if s := d.intake.Stats(); s.Lines != 5 || s.RefusedLines != 8 || s.CutStreams != 0 || s.StreamsNow != 0 {
		t.Errorf("%+v", s)
	}
}

func TestBulk_only_the_errors_if_that_is_asked_for(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	got := d.load(t, `{"fpp":1}`+"\n"+`{"fpp":2,"channel":"b"}`+"\n"+`{"fpp":3}`, func(r *http.Request) { r.URL.Path, r.URL.RawQuery = publishPath+"a/", "results=errors" })
	expectLines(t, got,
		`{"line":2,"code":"invalid","message":"the item is for /b, but the address names /a"}`,
		`{"done":true,"lines":3,"published":2,"duplicates":0,"held":0,"refused":1}`)
	d.expect(t, "/a 1", "/a 3")
}

func TestBulk_packed(t *testing.T) {
	d := openDoor(t, Options{MaxStream: 1 << 20}, broker.Options{})
	line := `{"channel":"a","fpp":1}` + "\n"
	expectLines(t, d.load(t, zipped(strings.Repeat(line, 3)), isZipped)[3:], `{"done":true,"lines":3,"published":3,`)
	expectLines(t, d.load(t, zipped(line)[:25], isZipped), `{"done":false,"lines":0,"published":0,"duplicates":0,"held":0,"refused":0,"code":"invalid","message":"the body broke off before its end"}`)
	expectLines(t, d.load(t, line, isZipped), `{"done":false,"lines":0,"published":0,"duplicates":0,"held":0,"refused":0,"code":"invalid","message":"the body is not valid gzip`)
	got := d.load(t, zipped(strings.Repeat("\n", 1<<20)), isZipped)
	expectLines(t, got, `{"done":true,"lines":1048576,`)
	got = d.load(t, zipped(strings.Repeat("\n", 1<<20)+" "), isZipped)
	expectLines(t, got, `{"done":false,"lines":1048576,"published":0,"duplicates":0,"held":0,"refused":0,"code":"too_large","message":"the body has more than the limit`)
}

func TestBulk_a_long_line_is_passed_over(t *testing.T) {
	for _, n := range []int{1000, 50_000} { // within and beyond what is read at once
		d := openDoor(t, Options{MaxBody: int64(n)}, broker.Options{})
		item := func(size int) string {
			return `{"channel":"a","fpp":"` + strings.Repeat("x", size-len(`{"channel":"a","fpp":""}`)) + `"}`
		}
		got := d.load(t, item(n)+"\n"+item(n+1)+"\n"+item(n)+"\r\n"+item(n+1)+"\r\n"+item(3*n)+"\n"+item(100)+"\n"+item(n+1))
		tooLong := fmt.Sprintf(`"code":"too_large","message":"the line has more than the limit of %d bytes"}`, n)
		expectLines(t, got, `{"line":1,"id"`, `{"line":2,`+tooLong, `{"line":3,"id"`, `{"line":4,`+tooLong, `{"line":5,`+tooLong, `{"line":6,"id"`, `{"line":7,`+tooLong, `{"done":true,"lines":7,`)
		if len(d.received()) != 3 {
			t.Error("not the three were published")
		}
	}
}

func TestBulk_refused_before_its_first_line(t *testing.T) {
	d := openDoorWith(t, Options{}, broker.Options{}, IntakeOptions{MaxStreams: 1})
	line := `{"channel":"open/a","fpp":1}`
	for _, c := range []struct {
		change func(*http.Request)
		status int
		want   string
	}{
		{func(r *http.Request) { r.Header.Del("Authorization") }, 401, "a token is needed for a bulk load"},
		{asHolder("bad"), 401, "signature"},
		{withKey("k"), 400, "a bulk load takes no Idempotency-Key"},
		{func(r *http.Request) { r.URL.RawQuery = "wait=stored" }, 400, "wait=stored does not go with a bulk load"},
		{func(r *http.Request) { r.URL.RawQuery = "results=all" }, 400, `results can only be errors, not "all"`},
		{header("Content-Encoding", "br"), 415, "not supported"},
	} {
		expectAnswer(t, d.post(publishPath, line, isBulk, c.change), c.status, c.want)
	}
	d.expect(t)
	expectAnswer(t, d.post(publishPath+"?results=errors", line), 400, "results=errors goes with a bulk load alone")
	expectAnswer(t, d.post(publishPath+"?wait=1", line), 400, `wait can only be stored, not "1"`)
	expectAnswer(t, d.post(publishPath+"?wait=stored&wait=stored", line), 400, "the query has several wait")
	expectAnswer(t, d.post(publishPath+"?;", line), 400, "the query of the address cannot be read")
}

func TestBulk_ends_after_so_many_refused_lines(t *testing.T) {
	d := openDoorWith(t, Options{}, broker.Options{}, IntakeOptions{MaxRefusedLines: 3})
	got := d.load(t, "a\nb\n"+`{"channel":"a","fpp":1}`+"\nc\nd\n\ne\n"+`{"channel":"a","fpp":2}`)
	expectLines(t, got, `{"line":1,`, `{"line":2,`, `{"line":3,"id"`, `{"line":4,`, `{"line":5,`, `{"line":7,`,
		`{"done":false,"lines":7,"published":1,"duplicates":0,"held":0,"refused":5,"code":"invalid","message":"so many lines in a row`)
	d.expect(t, "/a 1")
	if s := d.intake.Stats(); s.CutStreams != 1 {
		t.Errorf("%+v", s)
	}
}

// After a failure of the engine nothing more is published, so that the order is that of the lines.
func TestBulk_ends_when_the_engine_fails(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{{errors.New("disk on fire"), "internal"}, {broker.Errorf(broker.Unavailable, "not now"), "unavailable"}} {
		d := openDoor(t, Options{}, broker.Options{Engine: &failing{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), left: 1, err: c.err}})
		got := d.load(t, strings.Repeat(`{"channel":"a","fpp":1}`+"\n", 3))
		expectLines(t, got, `{"line":1,"id"`, `{"line":2,"code":"`+c.code, `{"done":false,"lines":2,"published":1,"duplicates":0,"held":0,"refused":1,"code":"`+c.code)
	}
}

func TestBulk_waits_for_its_rate(t *testing.T) {
	ordered(t, IntakeOptions{Limits: PublishLimits{Channel: 10}}, func(t *testing.T, d *door) {
		began := time.Now()
		got := d.load(t, strings.Repeat(`{"channel":"a","fpp":1}`+"\n", 150))
		expectLines(t, got[150:], `{"done":true,"lines":150,"published":150,`)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Not for ever: so that a connection cannot be held by nothing.
func TestBulk_does_not_wait_long_for_its_rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoorWith(t, Options{LineTimeout: time.Second / 2}, broker.Options{}, IntakeOptions{Limits: PublishLimits{Channel: 1}})
		got := d.load(t, strings.Repeat(`{"channel":"a","fpp":1}`+"\n", 6))
		expectLines(t, got[5:], `{"line":6,"code":"rate_limited","message":"too many messages to /a; try again in 2s"}`, `{"done":true,"lines":6,"published":5,`)
	})
}

func TestBulk_answers_while_the_request_goes_on(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		s := openStream(t, d.serve(t))
		s.send(`{"channel":"a","fpp":1}` + "\n" + `{"channel":"a",`)
		answers := s.answer(t)
		for n := 1; n <= 5; n++ {
			var got struct{ Line int }
			if line := readLine(t, answers); json.Unmarshal([]byte(line), &got) != nil || got.Line != n {
				t.Fatalf("%d: %s", n, line)
			}
			s.send(`"fpp":1}` + "\n" + `{"channel":"a",`)
		}
		readLine(t, answers)
		_ = s.conn.Close() // in the middle of a line
		synctest.Wait()
		if s := d.intake.Stats(); s.Lines != 6 || s.CutStreams != 1 || s.StreamsNow != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBulk_over_HTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 300 * time.Millisecond
		d := openDoor(t, Options{LineTimeout: within}, broker.Options{})
		transport := &http.Transport{DialContext: d.serve(t).dial, Protocols: &http.Protocols{}}
		transport.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(transport.CloseIdleConnections)
		body, in := io.Pipe()
		defer in.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x"+publishPath, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+goodToken)
		r.Header.Set("Content-Type", "application/x-ndjson")
		go func() { _, _ = io.WriteString(in, `{"channel":"a","fpp":1}`+"\n") }()
		response, err := transport.RoundTrip(r)
		if err != nil || response.ProtoMajor != 2 {
			t.Fatal(err, response)
		}
		defer response.Body.Close()
		answers := bufio.NewReader(response.Body)
		first := readLine(t, answers)
		time.Sleep(within - 1)
		if _, err := io.WriteString(in, `{"channel":"a","fpp":2}`+"\n"); err != nil {
			t.Fatal(err)
		}
		expectLines(t, []string{first, readLine(t, answers), readLine(t, answers)}, `{"line":1,"id"`, `{"line":2,"id"`,
			`{"done":false,"lines":2,"published":2,"duplicates":0,"held":0,"refused":0,"code":"timeout"`) // nothing more comes
	})
}

// The time of each begins behind the one before it.
func TestBulk_a_line_has_its_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 10 * time.Second
		d := openDoor(t, Options{LineTimeout: within}, broker.Options{})
		s := openStream(t, d.serve(t))
		s.send(`{"channel":"a","fpp":1}` + "\n" + `{"channel":"a",`)
		answers := s.answer(t)
		expectLines(t, []string{readLine(t, answers)}, `{"line":1,"id"`)
		time.Sleep(within - 1)
		s.send(`"fpp":2}` + "\n" + `{"channel":"a",`)
		expectLines(t, []string{readLine(t, answers)}, `{"line":2,"id"`)
		began := time.Now()
		expectLines(t, []string{readLine(t, answers)},
			`{"done":false,"lines":2,"published":2,"duplicates":0,"held":0,"refused":0,"code":"timeout","message":"the next line took too long to arrive"}`)
		if took := time.Since(began); took != within {
			t.Errorf("it took %v", took)
		}
	})
}

func TestBulk_ends_when_the_server_stops(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		s := openStream(t, d.serve(t))
		s.send(`{"channel":"a","fpp":1}` + "\n")
		answers := s.answer(t)
		expectLines(t, []string{readLine(t, answers)}, `{"line":1,"id"`)
		if err := d.intake.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		expectLines(t, []string{readLine(t, answers)}, `{"done":false,"lines":1,"published":1,"duplicates":0,"held":0,"refused":0,"code":"unavailable","message":"the server is shutting down; send the rest again"}`)
	})
}

func TestBulk_of_so_many_at_a_time(t *testing.T) {
	ordered(t, IntakeOptions{MaxStreams: 1}, func(t *testing.T, d *door) {
		s := openStream(t, d.serve(t))
		s.send(`{"channel":"a","fpp":1}` + "\n")
		answers := s.answer(t)
		readLine(t, answers)
		w := d.post(publishPath, "", isBulk)
		expectAnswer(t, w, 429, "the server holds 1 bulk loads, which is the most it may hold; try again later")
		if w.Header().Get("Retry-After") == "" {
			t.Error("without Retry-After")
		}
		s.end()
		expectLines(t, []string{readLine(t, answers)}, `{"done":true,"lines":1,`)
		synctest.Wait()
		expectLines(t, d.load(t, ""), `{"done":true,"lines":0,`)
	})
}

// The connection goes on after a bulk load: neither its deadlines nor anything of its body are left.
func TestBulk_leaves_its_connection_as_it_was(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoor(t, Options{LineTimeout: 10 * time.Second}, broker.Options{})
		s := openStream(t, d.serve(t))
		s.send(`{"channel":"a","fpp":1}` + "\n")
		s.end()
		if got, err := io.ReadAll(s.answer(t)); err != nil || bytes.Count(got, []byte("\n")) != 2 {
			t.Fatalf("%q, %v", got, err)
		}
		time.Sleep(15 * time.Second) // beyond the deadlines
		body := messages(1, "a")
		s.out <- fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", publishPath, goodToken, len(body), body)
		if got := readLine(t, s.answer(t)); got != "Published\n" {
			t.Error(got)
		}
	})
}

// slow is an engine that takes its time.
type slow struct{ broker.Engine }

func (e slow) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	time.Sleep(time.Second)
	return e.Engine.Publish(ctx, a)
}

// The time to take an answer begins when there is one.
func TestBulk_has_time_for_a_slow_engine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoor(t, Options{LineTimeout: 10 * time.Second}, broker.Options{Engine: slow{broker.NewMemoryEngine(broker.MemoryOptions{})}})
		s := openStream(t, d.serve(t))
		s.send(strings.Repeat(`{"channel":"a","fpp":1}`+"\n", 400))
		s.end()
		got, err := io.ReadAll(s.answer(t))
		if lines := bytes.Count(got, []byte("\n")); err != nil || lines != 401 || !bytes.Contains(got, []byte(`{"done":true,"lines":400,`)) {
			t.Errorf("%d lines, %v", lines, err)
		}
	})
}

// Who does not read what is answered is read no further, and in the end is let go of: memory stays what it is.
func TestBulk_whose_answers_are_not_read_is_not_read(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 10 * time.Second
		d := openDoor(t, Options{LineTimeout: within}, broker.Options{})
		d.reader.Close(nil)
		s := openStream(t, d.serve(t))
		began, most := time.Now(), 10_000
		for range most { // far more than all buffers on the way
			s.send(`{"channel":"a","fpp":1}` + "\n")
		}
		synctest.Wait()
		if s := d.intake.Stats(); s.StreamsNow != 0 || s.Lines == 0 || s.Lines >= uint64(most/10) || time.Since(began) != within {
			t.Errorf("let go of after %v: %+v", time.Since(began), s)
		}
	})
}

func TestBulk_rate_ends_with_the_request_or_the_server(t *testing.T) {
	ordered(t, IntakeOptions{Limits: PublishLimits{Channel: 1}}, func(t *testing.T, d *door) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		done := make(chan struct{})
		go func() {
			got = d.load(t, strings.Repeat(`{"channel":"a","fpp":1}`+"\n", 10), func(r *http.Request) { *r = *r.WithContext(ctx) })
			close(done)
		}()
		synctest.Wait()
		cancel()
		<-done
		expectLines(t, got[5:], `{"line":6,"code":"unavailable"`, `{"done":false,"lines":6,"published":5,`)

		go func() {
			time.Sleep(10*time.Second + time.Second/2) // while the eleventh waits
			_ = d.intake.Shutdown(context.Background())
		}()
		got = d.load(t, strings.Repeat(`{"channel":"a","fpp":1}`+"\n", 100))
		expectLines(t, got[10:], `{"line":11,"code":"rate_limited"`, `{"done":false,"lines":11,"published":10,`)
	})
}

// FuzzLines: however a body is cut into reads, its lines are those that a splitter finds, but for those above the limit.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbb\r\n\nccc"), 3, 1)
	f.Add([]byte(strings.Repeat("x", 40)+"\n\r\n"+strings.Repeat("y", 17)+"\r\n"), 16, 5)
	f.Fuzz(func(t *testing.T, body []byte, most, step int) {
		if most < 0 || most > 1000 || step < 1 || step > 1000 || len(body) > 10_000 {
			return
		}
		x := lines{from: bufio.NewReaderSize(&dripping{body, step}, 16), most: most}
		want := bytes.Split(body, []byte("\n"))
		if len(want[len(want)-1]) == 0 {
			want = want[:len(want)-1]
		}
		for i, w := range want {
			line, err := x.next()
			w = bytes.TrimSuffix(w, []byte("\r"))
			switch {
			case len(w) > most && err != errLongLine:
				t.Fatalf("line %d: %q, %v, of %d bytes", i, line, err, len(w))
			case len(w) <= most && (err != nil || !bytes.Equal(line, w)):
				t.Fatalf("line %d: %q, %v, not %q", i, line, err, w)
			}
		}
		if line, err := x.next(); err != io.EOF {
			t.Fatalf("behind the end: %q, %v", line, err)
		}
	})
}

type dripping struct {
	left []byte
	step int
}

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), d.step)], d.left)
	d.left = d.left[n:]
	return n, nil
}
