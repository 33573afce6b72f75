package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What differs from one run to the next: times, epochs, bytes that depend on them, how long something took.
var passing = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"[0-9]{4}-[0-9-]+T[0-9:.]+Z"`), `"T"`},
	{regexp.MustCompile(`\b[0-9a-z]{8,13}-([0-9]+)\b`), `E-$1`},
	// Whether the request was held when the message came is up to the two commands.
	{regexp.MustCompile(`"(messages_out|messages_read|bytes_out)":[0-9]+`), `"$1":N`},
	{regexp.MustCompile(`"connection_minutes":\{[^}]*\}`), `"connection_minutes":M`},
}

func steady(text string) string {
	for _, p := range passing {
		text = p.what.ReplaceAllString(text, p.with)
	}
	return strings.TrimSpace(text)
}

// Every example of docs/http.md, in their order, on a server of their own.
func TestDocs_http_examples_do_what_the_page_shows(t *testing.T) {
	_, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl here")
	}
	text, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, map[string]string{envRealmKey: goodKey})
	token := mint(t, goodKey)
	examples := regexp.MustCompile("(?s)```sh\n(.*?)```\n```(?:json|text)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), "```sh\n"); n == 0 || n != len(examples) {
		t.Fatalf("of %d examples %d show what they answer", n, len(examples))
	}
	for _, e := range examples {
		command := exec.CommandContext(t.Context(), "sh", "-c", e[1])
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "WAFT=" + r.url(), "TOKEN=" + token}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v: %s", e[1], err, out)
		}
		if got, want := steady(string(out)), steady(e[2]); got != want {
			t.Errorf("%s\nanswers\n%s\nand the page says\n%s", e[1], got, want)
		}
	}
}
