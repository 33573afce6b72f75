package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"waft/auth"
)

// firstTokenLifetime is that of the token in the first-run text: a day of trying.
const firstTokenLifetime = 24 * time.Hour

// firstRun says what to paste, to somebody who started a server without configuring a key.
type firstRun struct {
	program string   // how to invoke waft
	scheme  string   // of the public listener's addresses
	address net.Addr // of that listener
	realm   string
	key     auth.Key
	text    string // the key, as made
}

// print writes the text. It holds a key and a token, and is for the terminal of whoever started the server: it goes
// to stdout, never to the log.
func (f *firstRun) print(w io.Writer) error {
	token, err := auth.Mint(f.key, f.realm, auth.Claims{Lifetime: firstTokenLifetime})
	if err != nil {
		return err
	}
	server := cmp.Or(f.scheme, "http") + "://" + f.address.String()
	var flags string
	if server != defaultServer {
		flags += " --server " + server
	}
	if f.realm != defaultRealm {
		flags += " --realm " + f.realm
	}
	_, err = fmt.Fprintf(w, `waft is listening on %[1]s, for this machine only.
The realm %[2]q has no key; this one was made for it and lasts until waft stops:

  %[6]s=%[7]s

Subscribe, in another terminal:

  %[3]s subscribe%[4]s '/chat/**'

Publish, with a token that is good for a day:

  curl -X POST %[1]s/realm/%[2]s/publish/ -H 'Authorization: Bearer %[5]s' -d '{"items":[{"channel":"/chat/hello","json-object":{"text":"hi"}}]}'

`, server, f.realm, f.program, flags, token, envRealmKey, f.text)
	return err
}

// goRun matches the places where `go run` puts what it has built: a temporary folder the first time, and later
// the build cache.
var goRun = regexp.MustCompile(`(^|[/\\])(go-build[0-9]*[/\\]b[0-9]+[/\\]exe|[0-9a-f]{2}[/\\][0-9a-f]{64}-d)[/\\][^/\\]+$`)

// invokedAs is what a user would type to run this program again: what was typed this time, unless that was `go run`,
// whose binary is gone when it ends.
func invokedAs(arg0 string) string {
	arg0 = cmp.Or(arg0, "waft")
	if !goRun.MatchString(arg0) {
		return shellQuote(arg0)
	}
	for _, dir := range []string{"./cmd/waft", "."} {
		if _, err := os.Stat(filepath.Join(dir, "firstrun.go")); err == nil {
			return "go run " + dir
		}
	}
	return "waft"
}

// shellQuote quotes a word where a shell would see more than a word in it.
func shellQuote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:=@%,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
