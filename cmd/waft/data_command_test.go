package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// fillRealm publishes to a server what is hard to carry.
func fillRealm(t *testing.T, r *running) {
	t.Helper()
	for i, m := range []*broker.Message{
		{Channel: "/b", ID: "1", Data: []byte(`{"n":9007199254740993,"s":"<&> \u2028 \ud800","b":null}`)},
		{Channel: "/a", ID: "same", Data: []byte(`1`)},
		{Channel: "/a", ID: "same", Data: []byte(`2.0`)},
		{Channel: "/a", ID: "ü 3", Data: []byte(`null`), Formats: map[string]json.RawMessage{"http-stream": json.RawMessage(`{"content":"x\n"}`)}},
		{Channel: "/a/x", ID: "4", Formats: map[string]json.RawMessage{"ws-message": json.RawMessage(`{"content":"y"}`)}},
	} {
		if _, err := r.realms[0].broker.Publish(context.Background(), operator, m, broker.PublishOptions{}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// texts is what a realm's channels keep, without positions.
func texts(t *testing.T, r *running) (list []string) {
	t.Helper()
	b := r.realms[0].broker
	channels, err := b.Channels(t.Context(), operator, "/**", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range channels {
		page, err := b.History(t.Context(), operator, c.Channel, broker.Range{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			list = append(list, fmt.Sprintf("%s %s %s %s %s %d", m.Channel, m.ID, m.Data, m.Formats, m.Publisher, m.Time.UnixNano()))
		}
	}
	return list
}

func TestData_backup_of_a_server_that_runs_is_a_data_directory(t *testing.T) {
	// A path that is too long for a socket, without a shorter name.
	data, to := filepath.Join(t.TempDir(), strings.Repeat("long", 30), "data"), filepath.Join(t.TempDir(), "new", "copy")
	env := map[string]string{envRealmKey: goodKey}
	r := serve(t, env, "--data", data)
	fillRealm(t, r)
	code, stdout, stderr := run(t, env, "data", "backup", "--data", data, to)
	if code != exitOK || stdout != to+" is a backup of "+data+"\n" {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, "waft_disk_backups_total 1") {
		t.Error("the metrics do not tell")
	}
	if info, err := os.Stat(filepath.Join(data, controlName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if code, _, stderr := run(t, env, "data", "backup", "--data", data, to); code != exitFailed || !strings.Contains(stderr, "exists; a backup needs a new directory") {
		t.Errorf("into a directory that is there: exit code %d: %s", code, stderr)
	}
	if code, _, stderr := run(t, env, "data", "backup", "--data", data, filepath.Join(data, "x")); code != exitFailed || !strings.Contains(stderr, "is in the data directory") {
		t.Errorf("into itself: exit code %d: %s", code, stderr)
	}
	for _, command := range []string{"check", "export", "import"} {
		if code, _, stderr := run(t, env, "data", command, "--data", data); code != exitFailed || !strings.Contains(stderr, "in use by another process") {
			t.Errorf("%s while a server runs: exit code %d: %s", command, code, stderr)
		}
	}
	want := texts(t, r)
	r.stop()
	if _, err := os.Stat(filepath.Join(data, controlName)); err == nil {
		t.Error("the socket is left")
	}
	if code, stdout, stderr := run(t, env, "data", "check", to); code != exitOK || !strings.Contains(stdout, "is good: 1 realms, 3 channels, 5 messages") {
		t.Errorf("check: exit code %d: %s%s", code, stdout, stderr)
	}
	r = serve(t, env, "--data", to)
	if got := texts(t, r); fmt.Sprint(got) != fmt.Sprint(want) || len(got) != 5 {
		t.Errorf("the backup has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestData_backup_works_on_a_directory_that_nobody_has_open(t *testing.T) {
	data, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	env := map[string]string{envRealmKey: goodKey}
	if code, _, stderr := run(t, env, "data", "backup", "--data", data, to); code != exitFailed || !strings.Contains(stderr, "there is no database in "+data) {
		t.Errorf("of nothing: exit code %d: %s", code, stderr)
	}
	r := serve(t, env, "--data", data)
	fillRealm(t, r)
	r.stop()
	if err := os.WriteFile(filepath.Join(data, controlName), nil, 0o600); err != nil { // what a killed process may leave
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "data", "backup", "--data", data, to); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, stdout, stderr := run(t, env, "data", "check", to); code != exitOK {
		t.Errorf("check: exit code %d: %s%s", code, stdout, stderr)
	}
	serve(t, env, "--data", data) // and the file is no hindrance
}

func TestData_what_is_exported_is_imported_as_it_was(t *testing.T) {
	env := map[string]string{envRealmKey: goodKey}
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	r := serve(t, env, "--data", from)
	fillRealm(t, r)
	want := texts(t, r)
	r.stop()
	code, lines, stderr := run(t, env, "data", "export", "--data", from)
	if code != exitOK || strings.Count(lines, "\n") != 5 {
		t.Fatalf("exit code %d: %s%s", code, lines, stderr)
	}
	term := newTerminal(env)
	term.stdin = strings.NewReader(lines)
	if code := term.run(t.Context(), []string{"data", "import", "--data", to}); code != exitOK || term.err.String() != "5 messages are imported\n" {
		t.Fatalf("exit code %d: %s", code, term.err.String())
	}
	if code, stdout, stderr := run(t, env, "data", "check", "--data", to); code != exitOK {
		t.Errorf("check: exit code %d: %s%s", code, stdout, stderr)
	}
	r = serve(t, env, "--data", to)
	if got := texts(t, r); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("imported are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// And each line is an item of the publish API, alone and with the others (TestData_what_is_exported_is_a_bulk_load).
	for text := range strings.Lines(lines) {
		if status, body := post(t, r.url()+"/realm/default/publish/", mint(t, goodKey), `{"items":[`+text+`]}`); status != http.StatusOK {
			t.Errorf("publishing %s: %d %s", text, status, body)
		}
	}
	r.stop()
	if code, _, stderr := run(t, env, "data", "export", "--data", to, "--realm", "other"); code != exitFailed || !strings.Contains(stderr, `there are those of ["default"]`) {
		t.Errorf("another realm: exit code %d: %s", code, stderr)
	}
}

// bulkResult is a line of the answer to a bulk load.
type bulkResult struct {
	Line                                  int
	ID, Code, Message                     string
	Duplicate, Done                       bool
	Lines, Published, Duplicates, Refused int
}

// postLines posts lines as they are.
func postLines(t *testing.T, r *running, token, lines string) (answers []bulkResult) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/realm/default/publish/", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	for decoder := json.NewDecoder(response.Body); decoder.More(); {
		var a bulkResult
		if err := decoder.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	return answers
}

// An export goes through publishing over HTTP as it is: the same texts in the same order. Time and publisher are those of the load; an id that
// a channel has several times is published once, because there it tells one item.
func TestData_what_is_exported_is_a_bulk_load(t *testing.T) {
	env := map[string]string{envRealmKey: goodKey}
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	r := serve(t, env, "--data", from)
	fillRealm(t, r)
	for i := range 50 { // by an unnamed publisher, with ids that the server gave
		m := &broker.Message{Channel: broker.Channel(fmt.Sprintf("/many/%d", i%3)), Data: fmt.Appendf(nil, "%d", i)}
		if _, err := r.realms[0].broker.Publish(context.Background(), operator, m, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	code, lines, stderr := run(t, env, "data", "export", "--data", from)
	if code != exitOK || strings.Count(lines, "\n") != 55 {
		t.Fatalf("exit code %d: %s%s", code, lines, stderr)
	}
	r = serve(t, env, "--data", to)
	answers := postLines(t, r, mint(t, goodKey), lines)
	end := answers[len(answers)-1]
	if len(answers) != 56 || !end.Done || end.Lines != 55 || end.Published != 54 || end.Duplicates != 1 || end.Refused != 0 {
		t.Fatalf("the answer is %+v", answers)
	}
	for i, a := range answers[:55] {
		if a.Line != i+1 || a.Code != "" || a.Duplicate != (i == 1) { // "same", the second time
			t.Errorf("line %d was answered %+v", i+1, a)
		}
	}
	// What had another publisher and another time is the same message otherwise, and the next export the same text.
	r.stop()
	code, again, stderr := run(t, env, "data", "export", "--data", to)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want := regexp.MustCompile(`,"time":"[^"]*"(,"publisher":"[^"]*")?}`).ReplaceAllString(strings.Join(slices.Delete(slices.Collect(strings.Lines(lines)), 1, 2), ""), "}")
	if got := regexp.MustCompile(`,"time":"[^"]*"(,"publisher":"[^"]*")?}`).ReplaceAllString(again, "}"); got != want {
		t.Errorf("the second export is\n%s\nwant\n%s", got, want)
	}
	// Whoever repeats the load publishes nothing twice.
	r = serve(t, env, "--data", to)
	if answers := postLines(t, r, mint(t, goodKey), lines); answers[len(answers)-1].Duplicates != 55 {
		t.Errorf("the load again: %+v", answers[len(answers)-1])
	}
}

func TestData_import_stops_at_a_bad_line_and_goes_on_from_there(t *testing.T) {
	config := "[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '" + goodKey + "'\n[[realm.rule]]\nmatch = '/live'\nhistory = { size = 0 }\n[realm.limits]\nmax_message = 100\n"
	good := func(i int) string { return fmt.Sprintf(`{"channel":"a","id":"%d","formats":{"json-object":%d}}`, i, i) }
	for name, c := range map[string]struct{ line, want string }{
		"no JSON":        {`{"channel":"b"`, "line 3: the line is not a JSON object"},
		"no channel":     {`{"id":"x","formats":{"json-object":1}}`, "line 3: a channel name is missing"},
		"no id":          {`{"channel":"a","formats":{"json-object":1}}`, `line 3: the message has no "id"`},
		"nothing in it":  {`{"channel":"a","id":"x"}`, "line 3: the message for /a has no data"},
		"reserved":       {`{"channel":"/meta/x","id":"x","formats":{"json-object":1}}`, "line 3: /meta/x belongs to Bayeux"},
		"too large":      {`{"channel":"a","id":"x","formats":{"json-object":"` + strings.Repeat("x", 100) + `"}}`, "more than the limit of 100"},
		"far too large":  {strings.Repeat("x", 100_000), "line 3: the line is longer than any message may be"},
		"a strange time": {`{"channel":"a","id":"x","time":"9999-01-01T00:00:00Z","formats":{"json-object":1}}`, "line 3: the time 9999"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			file := filepath.Join(t.TempDir(), "lines")
			text := good(1) + "\n\n" + c.line + "\n" + good(2) + "\n" + `{"channel":"live","id":"x","formats":{"json-object":1}}`
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			path := writeConfig(t, config)
			code, _, stderr := run(t, nil, "data", "import", "--config", path, "--data", data, file)
			if code != exitFailed || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "go on with --from 3") {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			if err := os.WriteFile(file, []byte(strings.Replace(text, c.line, good(3), 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			code, _, stderr = run(t, nil, "data", "import", "--config", path, "--data", data, "--from", "3", file)
			if code != exitOK || stderr != "2 messages are imported; 1 more are of channels whose rule keeps no history, and are not\n" {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			_, stdout, _ := run(t, nil, "data", "export", "--data", data)
			if got := strings.Count(stdout, "\n"); got != 3 || strings.Index(stdout, `"id":"3"`) > strings.Index(stdout, `"id":"2"`) {
				t.Errorf("exported is %s", stdout)
			}
		})
	}
}

func TestData_check_tells_what_is_wrong(t *testing.T) {
	data := t.TempDir()
	env := map[string]string{envRealmKey: goodKey}
	r := serve(t, env, "--data", data)
	fillRealm(t, r)
	r.stop()
	files, err := filepath.Glob(filepath.Join(data, "*.sst"))
	if err != nil || len(files) == 0 {
		t.Skip("everything is in the log")
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(b) / 2 {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "data", "check", data); code != exitFailed || !strings.Contains(stderr, "damaged") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestData_usage(t *testing.T) {
	for _, args := range [][]string{
		{"data", "backup"},
		{"data", "backup", "a", "b"},
		{"data", "backup", "a"},
		{"data", "check"},
		{"data", "export", "a", "b"},
		{"data", "import"},
		{"data", "import", "--data", "x", "--realm", "none"},
		{"data", "nonsense"},
	} {
		if code, _, stderr := run(t, nil, args...); code != exitUsage {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"channel":"/a","id":"1","formats":{"json-object":{"a":1},"http-stream":{"content":"x"}},"time":"2026-01-02T03:04:05.678Z","publisher":"p"}`))
	f.Add([]byte(`{"channel":"a","id":"1","formats":{"json-object":null}}`))
	f.Add([]byte(`{"channel":"/meta/x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseLine(text, 1000, time.Unix(1, 0))
		if err != nil {
			return
		}
		if _, err := broker.ParseChannel(string(m.Channel)); err != nil || m.Channel.Reserved() || m.ID == "" || m.Data == nil && len(m.Formats) == 0 {
			t.Fatalf("%q became %+v, %v", text, m, err)
		}
		if m.Data != nil && !json.Valid(m.Data) || bytes.ContainsAny(m.Data, "\n") {
			t.Fatalf("%q became %s", text, m.Data)
		}
	})
}
