//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
)

// prosodyConfig lifts Prosody's own limit on stanzas: what is too much is for
// waft to say. (ejabberd has no limit unless told.)
var prosodyConfig = template.Must(template.New("prosody.cfg.lua").Parse(`
run_as_root = true
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
certificates = "{{.Dir}}/data"
log = { warn = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = { {{.ClientPort}} }
component_ports = { {{.ComponentPort}} }
component_interfaces = { "127.0.0.1" }
http_ports = { {{.WebPort}} }
http_interfaces = { "127.0.0.1" }
http_default_host = "prosody.localhost"
consider_websocket_secure = true
https_ports = { }
modules_enabled = { "saslauth", "roster", "disco", "ping", "websocket" }
modules_disabled = { "s2s", "tls" }
c2s_require_encryption = false
c2s_stanza_size_limit = 16 * 1024 * 1024
allow_unencrypted_plain_auth = true
authentication = "internal_plain"

VirtualHost "prosody.localhost"

Component "waft.prosody.localhost"
  component_secret = "{{.Secret}}"
  component_conflict_resolve = "kick_old"
`))

func startProsody() (*xmppServer, error) { return startProsodyAs("Prosody") }

// startProsodyAs starts one with a directory of its own.
func startProsodyAs(name string) (*xmppServer, error) {
	s := &xmppServer{name: name, host: "prosody.localhost", clients: freeAddr(), components: freeAddr(), web: freeAddr()}
	s.webSocket = "ws://" + s.web + "/xmpp-websocket"
	dir, err := s.configure(prosodyConfig)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, prosodyConfig.Name())
	for _, user := range users {
		register := exec.Command("prosodyctl", "--config", config, "register", user, s.host, password)
		if out, err := register.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("registering %s at Prosody: %w\n%s", user, err, out)
		}
	}
	return s, s.start(exec.Command("prosody", "-F", "--config", config), func() error {
		return errors.Join(listening(s.clients), listening(s.components), listening(s.web))
	})
}
