package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// `waft bench` runs itself for its workers, which here is the test.
	if len(os.Args) > 1 && os.Args[1] == "bench" {
		p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, invoked: "waft"}
		os.Exit(p.run(context.Background(), os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// terminal is a program run by a test, and what it wrote.
type terminal struct {
	*program
	out, err buffer
}

func newTerminal(env map[string]string) *terminal {
	t := &terminal{program: &program{stdin: strings.NewReader(""), env: env, invoked: "waft"}}
	t.stdout, t.stderr = &t.out, &t.err
	return t
}

// run runs one command line to its end.
func run(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	term := newTerminal(env)
	code = term.run(t.Context(), args)
	return code, term.out.String(), term.err.String()
}

// buffer is a bytes.Buffer for writers and readers on different goroutines.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed by the next Write
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// waitFor waits until the buffer contains want.
func (b *buffer) waitFor(ctx context.Context, want string) bool {
	for {
		b.mu.Lock()
		if strings.Contains(b.text.String(), want) {
			b.mu.Unlock()
			return true
		}
		if b.more == nil {
			b.more = make(chan struct{})
		}
		more := b.more
		b.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return false
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		want string // on stderr, or on stdout when code is 0
	}{
		{"nothing_shows_the_commands", nil, exitOK, "subscribe"},
		{"help_shows_the_commands", []string{"--help"}, exitOK, "token"},
		{"help_of_a_command_shows_its_flags", []string{"subscribe", "--help"}, exitOK, "--count"},
		{"help_of_a_subcommand_shows_an_example", []string{"token", "mint", "--help"}, exitOK, "Example: waft token mint"},
		{"an_unknown_command_is_a_usage_error", []string{"frobnicate"}, exitUsage, "there is no command frobnicate"},
		{"a_misspelt_command_is_suggested", []string{"subscrbe"}, exitUsage, "did you mean subscribe?"},
		{"a_misspelt_subcommand_is_suggested", []string{"token", "chekc"}, exitUsage, "did you mean check?"},
		{"a_group_of_commands_alone_shows_them", []string{"token"}, exitOK, "mint"},
		{"an_unknown_flag_is_a_usage_error", []string{"serve", "--prot", "1"}, exitUsage, "waft serve --help"},
		{"an_unknown_flag_of_a_subcommand_is_a_usage_error", []string{"token", "mint", "--prot"}, exitUsage, "waft token mint --help"},
		{"an_argument_of_serve_is_a_usage_error", []string{"serve", "now"}, exitUsage, `takes flags only, not "now"`},
		{"version_prints_one_line", []string{"version"}, exitOK, "waft devel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, nil, c.args...)
			said := stderr
			if c.code == exitOK {
				said = stdout
			}
			if code != c.code || !strings.Contains(said, c.want) {
				t.Errorf("waft %v: exit code %d, want %d; want %q in:\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
			}
			if c.code != exitOK && stdout != "" {
				t.Errorf("waft %v: an error wrote to stdout: %q", c.args, stdout)
			}
		})
	}
}

func TestFlagsFirst(t *testing.T) {
	commands := newTerminal(nil).app().Commands
	for _, c := range []struct{ name, args, want string }{
		{"flags_behind_arguments_move", "subscribe /a --count 1 /b --quiet", "subscribe --count 1 --quiet -- /a /b"},
		{"a_value_behind_an_equals_sign_stays_with_its_flag", "subscribe /a --count=1", "subscribe --count=1 -- /a"},
		{"a_negative_number_is_json", "publish /a -5 --id 7", "publish --id 7 -- /a -5"},
		{"a_dash_is_an_argument", "publish /a -", "publish -- /a -"},
		{"what_follows_two_dashes_is_no_flag", "subscribe -- --count", "subscribe -- --count"},
		{"subcommands_are_found", "token check TOKEN --channel /a", "token check --channel /a -- TOKEN"},
		{"a_flag_without_its_value_is_left_to_be_refused", "subscribe /a --count", "subscribe --count -- /a"},
		{"no_command_is_left_alone", "--help", "--help"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(flagsFirst(commands, strings.Fields(c.args)), " "); got != c.want {
				t.Errorf("%s became %s, want %s", c.args, got, c.want)
			}
		})
	}
}
