//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"text/template"
)

var ejabberdConfig = template.Must(template.New("ejabberd.yml").Parse(`
hosts: [ejabberd.localhost]
loglevel: warning
auth_method: internal
s2s_access: none
listen:
  - {port: {{.ClientPort}}, ip: "127.0.0.1", module: ejabberd_c2s, access: all, shaper: none}
  - port: {{.ComponentPort}}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts: {waft.ejabberd.localhost: {password: {{.Secret}}}}
  - {port: {{.WebPort}}, ip: "127.0.0.1", module: ejabberd_http, request_handlers: {/ws: ejabberd_http_ws}}
  - {port: {{.APIPort}}, ip: "127.0.0.1", module: ejabberd_http, request_handlers: {/api: mod_http_api}}
api_permissions:
  tests: {from: [mod_http_api], who: all, what: [register]}
modules:
  mod_disco: {}
  mod_http_api: {}
  mod_ping: {}
  mod_roster: {}
`))

func startEjabberd() (*xmppServer, error) { return startEjabberdAs("ejabberd") }

// startEjabberdAs runs the Erlang machine as ejabberdctl would. The script itself
// insists on root and a system user, and leaves a port mapper behind.
func startEjabberdAs(name string) (*xmppServer, error) {
	s := &xmppServer{name: name, host: "ejabberd.localhost", clients: freeAddr(), components: freeAddr(), web: freeAddr()}
	s.webSocket = "ws://" + s.web + "/ws"
	api := freeAddr()
	dir, err := s.configure(ejabberdConfig, "APIPort", port(api))
	if err != nil {
		return nil, err
	}
	libraries, err := erlangLibraries()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("erl", "-noinput",
		// Idle schedulers spin by default, and on a busy machine with few cores
		// the spinning ones keep the working one waiting: start took 30 s, not 1.
		"+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
		// The value of a flag is read as an Erlang term: a string needs its quotes.
		"-mnesia", "dir", fmt.Sprintf("%q", dir+"/spool"),
		"-s", "ejabberd")
	cmd.Env = []string{
		"ERL_LIBS=" + libraries,
		"ERL_CRASH_DUMP=" + filepath.Join(dir, "crash.dump"),
		"EJABBERD_CONFIG_PATH=" + filepath.Join(dir, ejabberdConfig.Name()),
		"EJABBERD_LOG_PATH=" + filepath.Join(dir, "ejabberd.log"),
	}
	if err := s.start(cmd, func() error { return listening(api) }); err != nil {
		return nil, err
	}
	for _, user := range users {
		account, _ := json.Marshal(map[string]string{"user": user, "host": s.host, "password": password})
		err := await("registering "+user+" at ejabberd", func() error {
			return post("http://"+api+"/api/register", account)
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// erlangLibraries is where ejabberd's compiled modules are, which differs from
// one distribution and architecture to the next; ejabberdctl knows.
func erlangLibraries() (string, error) {
	script, err := exec.LookPath("ejabberdctl")
	if err != nil {
		return "", fmt.Errorf("%w; try `apt-get install ejabberd`", err)
	}
	text, err := os.ReadFile(script)
	if err != nil {
		return "", err
	}
	match := regexp.MustCompile(`(?m)^ERL_LIBS='(.+)'$`).FindSubmatch(text)
	if match == nil {
		return "", fmt.Errorf("%s sets no ERL_LIBS: is it Debian's ejabberd?", script)
	}
	return string(match[1]), nil
}

func post(url string, body []byte) error {
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", url, resp.Status)
	}
	return nil
}
