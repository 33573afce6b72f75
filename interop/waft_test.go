//go:build interop

package interop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

// waft is the program under test, running with a configuration file.
type waft struct {
	url    string   // of the public listener
	admin  string   // of the admin listener
	config string   // file
	args   []string // of serve, beside the file
	links  []*link
	proc   *process
}

// link is waft's place at an XMPP server, seen through a relay.
type link struct {
	*xmppServer
	*relay
}

// build makes the program, once for all tests.
var build = sync.OnceValues(func() (string, error) {
	file := filepath.Join(workDir, "waft")
	out, err := exec.Command("go", "build", "-o", file, "../cmd/waft").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building waft: %w\n%s", err, out)
	}
	return file, nil
})

// executable is the file of the built program.
func executable(t *testing.T) string {
	t.Helper()
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// realmKey is the key of the realm, in base64 as publishers are given it.
var realmKey = base64.StdEncoding.EncodeToString([]byte("a key of thirty-two bytes, or so"))

// waftConfig lets anybody publish below /open, as Bayeux clients have no token
// to show here, and keeps what is published below /open/kept; everything else
// is left as it comes.
var waftConfig = template.Must(template.New("waft.toml").Parse(`
listen = "{{.Listen}}"
admin_listen = "{{.Admin}}"

[[realm]]
id = "default"

  [[realm.key]]
  id = "main"
  alg = "HS256"
  secret = "{{.Key}}"

  [[realm.rule]]
  match = "/open/kept/**"
  publish = "anyone"
  subscribe = "anyone"
  history = { size = 100 }

  [[realm.rule]]
  match = "/open/**"
  publish = "anyone"
  subscribe = "anyone"
{{with .Bayeux}}
  [realm.bayeux]
  {{.}}
{{end}}{{range .Links}}
  [[realm.xmpp]]
  domain = "{{.Service}}"
  server = "{{.Addr}}"
  secret = "{{.Secret}}"

    [[realm.xmpp.user]]
    match = "@{{.Host}}"
    publish = ["/**"]
    subscribe = ["/**"]
    read = ["/**"]
{{end}}`))

// startWaft starts waft with a link to each server, and waits until it is ready
// and all links are up.
func startWaft(t *testing.T, servers ...*xmppServer) *waft {
	t.Helper()
	return startWaftWith(t, "", servers...)
}

// startWaftWith is startWaft with lines for the realm's [realm.bayeux].
func startWaftWith(t *testing.T, bayeux string, servers ...*xmppServer) *waft {
	t.Helper()
	w := newWaft(t, bayeux, servers...)
	w.start(t)
	return w
}

// newWaft is startWaftWith without the start.
func newWaft(t *testing.T, bayeux string, servers ...*xmppServer) *waft {
	t.Helper()
	dir := t.TempDir()
	listen, admin := freeAddr(), freeAddr()
	w := &waft{url: "http://" + listen, admin: "http://" + admin, config: filepath.Join(dir, waftConfig.Name())}

	type section struct{ Service, Addr, Secret, Host string }
	var sections []section
	for _, s := range servers {
		l := &link{s, startRelay(t, s.components)}
		w.links = append(w.links, l)
		sections = append(sections, section{s.service(), l.addr, componentSecret, s.host})
	}
	var text strings.Builder
	err := waftConfig.Execute(&text, map[string]any{"Listen": listen, "Admin": admin, "Key": realmKey, "Links": sections, "Bayeux": bayeux})
	if err == nil {
		err = os.WriteFile(w.config, []byte(text.String()), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.proc == nil {
			return
		}
		w.proc.stop()
		if t.Failed() {
			t.Logf("end of waft's log:\n%s", w.proc.log)
		}
	})
	return w
}

// configure adds lines to the configuration, for the next start.
func (w *waft) configure(t *testing.T, lines string) {
	t.Helper()
	file, err := os.OpenFile(w.config, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(lines)
		_ = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// begin puts lines in front of the configuration, which are about no realm, for the next start.
func (w *waft) begin(t *testing.T, lines string) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	if err == nil {
		err = os.WriteFile(w.config, append([]byte(lines), text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reconfigure changes a line of the configuration, for the next start.
func (w *waft) reconfigure(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	if err == nil && !strings.Contains(string(text), from) {
		err = fmt.Errorf("%s has no %q", w.config, from)
	}
	if err == nil {
		err = os.WriteFile(w.config, []byte(strings.Replace(string(text), from, to, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start runs waft with its configuration, for the first time or again, and waits until it is ready.
func (w *waft) start(t *testing.T) {
	t.Helper()
	w.run(t)
	err := await("readiness of waft", func() error { return w.alive(get(w.admin + "/readyz")) })
	for _, l := range w.links {
		err = errors.Join(err, await("the link to "+l.name, func() error { return w.alive(l.up()) }))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, w.proc.log)
	}
}

// run is start without the wait.
func (w *waft) run(t *testing.T) {
	t.Helper()
	var err error
	if w.proc, err = start("waft", exec.Command(executable(t), append([]string{"serve", "--config", w.config}, w.args...)...)); err != nil {
		t.Fatal(err)
	}
}

// alive is err, unless waft has ended, which no waiting will mend.
func (w *waft) alive(err error) error {
	select {
	case <-w.proc.gone:
		return errFinal
	default:
		return err
	}
}

func get(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}

// token is what a publisher with the realm's key shows. It is made by hand: the
// tests are nobody's library user.
func token() string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":"default","exp":%d}`, time.Now().Add(time.Hour).Unix())
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	key, _ := base64.StdEncoding.DecodeString(realmKey)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}
