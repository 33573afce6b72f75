//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

// rival is a server that waft is measured beside.
type rival struct {
	name   string
	needs  []peer
	speaks []string // transports of `waft bench`
	start  func(t *testing.T) *racing
}

// racing is a rival that runs, alone and freshly started.
type racing struct {
	proc    *process
	several bool          // processes: the first has to end the others
	lead    time.Duration // for each connection it will have, it is left alone before the first
	ready   func() error
	kinds   map[string][]string // flags of `waft bench` by transport
}

var rivals = []rival{
	{"floor", nil, []string{"websocket", "sse", "polls"}, startFloor},
	{"waft", nil, []string{"websocket", "long-polling", "sse"}, startWaftRival},
	{"waft, waft.v1", nil, []string{"waft.v1"}, startWaftRival},
	{silentFloor, nil, []string{"raw"}, startFloor},
	{"nchan", []peer{nchanPeer}, []string{"raw", "sse", "polls"}, startNchan},
	{"Faye", []peer{nodePeer}, []string{"websocket", "long-polling"}, startFaye},
	{"CometD", []peer{nodePeer}, []string{"long-polling"}, startCometD},
	{"Pushpin", []peer{pushpinPeer}, []string{"sse"}, startPushpin},
}

var nchanPeer = peer{"nginx with nchan", func() error {
	if _, err := os.Stat(nchanModule); err != nil {
		return installed(nchanModule, "apt-get install nginx-light libnginx-mod-nchan")
	}
	return installed("nginx", "apt-get install nginx-light libnginx-mod-nchan")
}}

const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// silentFloor is the floor for clients that only ever read. TCP acknowledges what they read at once, on their core; those who have
// answered something, as Bayeux clients have, let it wait for the next segment, and so it is the server's core that sees to it.
// Those of waft.v1 cost what silent ones do, for they say nothing to the answer to their subscribe.
const silentFloor = "floor, silent clients"

// floor is the one to measure the rival by in a race.
func (v rival) floor(r race) string {
	if speaks := v.transport(r); speaks == "raw" || speaks == "waft.v1" {
		return silentFloor
	}
	return "floor"
}

// startFloor starts the program in floor/, to which every GET is a subscriber and every POST a message, as they are to nchan.
func startFloor(t *testing.T) *racing {
	file := filepath.Join(workDir, "floor")
	if out, err := exec.Command("go", "build", "-o", file, "./floor").CombinedOutput(); err != nil {
		t.Fatalf("building the floor: %v\n%s", err, out)
	}
	addr := freeAddr()
	p := mustStart(t, "floor", exec.Command(file, addr))
	flags := []string{"--kind", "nchan", "--server", "http://" + addr}
	bayeux := []string{
		"--kind", "bayeux", "--server", "http://" + addr + "/bayeux", "--publish-url", "http://" + addr,
		"--publish-body", `[{"channel":"{channel}","data":{data}}]`,
	}
	return &racing{p, false, 0, func() error { return listening(addr) }, map[string][]string{"websocket": bayeux, "raw": flags, "sse": flags, "polls": flags}}
}

// startWaftRival starts waft; anybody may publish below /open. The publisher is one Bayeux session, which none of the others holds to a rate.
func startWaftRival(t *testing.T) *racing { return startWaftOf(t, "") }

// startWaftOf starts it with lines for [realm.bayeux].
func startWaftOf(t *testing.T, lines string) *racing {
	w := startWaftWith(t, "messages_per_session = 1000000\n"+lines)
	bayeux := []string{"--kind", "bayeux", "--server", w.url + "/bayeux", "--prefix", "/open/bench"}
	rest := []string{"--server", w.url, "--prefix", "/open/bench"}
	return &racing{w.proc, false, 0, func() error { return nil }, map[string][]string{"websocket": bayeux, "long-polling": rest, "sse": rest, "waft.v1": rest}}
}

// startFaye starts Faye's server for Node, which keeps everything in memory.
func startFaye(t *testing.T) *racing {
	addr := freeAddr()
	p := mustStart(t, "Faye", exec.Command("node", "drivers/js/faye-server.mjs", `{"port":`+port(addr)+`}`))
	bayeux := []string{"--kind", "bayeux", "--server", "http://" + addr + "/bayeux"}
	return &racing{p, false, 0, func() error { return listening(addr) }, map[string][]string{"websocket": bayeux, "long-polling": bayeux}}
}

// startCometD starts CometD's server for Node, which has long polls only; the application that it is part of publishes.
func startCometD(t *testing.T) *racing {
	addr := freeAddr()
	p := mustStart(t, "CometD", exec.Command("node", "drivers/js/cometd-server.mjs", `{"port":`+port(addr)+`}`))
	return &racing{p, false, 0, func() error { return listening(addr) }, map[string][]string{"long-polling": {
		"--kind", "bayeux", "--server", "http://" + addr + "/bayeux",
		"--publish-url", "http://" + addr + "/publish{channel}", "--publish-body", "{data}", "--publish-type", "application/json",
	}}}
}

// nginxConfig leaves out what is not needed and lifts what would get in the way: connections that end after 1,000 requests, a
// message buffer of 10.
var nginxConfig = template.Must(template.New("nginx.conf").Parse(`
load_module {{.Module}};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile {{.Files}};
pid {{.Dir}}/nginx.pid;
error_log stderr crit;
events { worker_connections {{.Files}}; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {{.Dir}}; proxy_temp_path {{.Dir}}; fastcgi_temp_path {{.Dir}}; uwsgi_temp_path {{.Dir}}; scgi_temp_path {{.Dir}};
  server {
    listen {{.Addr}} backlog=4096;
    location ~ ^/pub(/.*)$ { nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1000; nchan_message_timeout 5s; }
    location ~ ^/sub(/.*)$ { nchan_subscriber; nchan_channel_id $1; }
  }
}
`))

func startNchan(t *testing.T) *racing {
	dir, addr := t.TempDir(), freeAddr()
	var text strings.Builder
	err := nginxConfig.Execute(&text, map[string]any{"Module": nchanModule, "Dir": dir, "Addr": addr, "Files": descriptors()})
	file := filepath.Join(dir, nginxConfig.Name())
	if err == nil {
		err = os.WriteFile(file, []byte(text.String()), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := mustStart(t, "nginx", exec.Command("nginx", "-c", file, "-p", dir))
	flags := []string{"--kind", "nchan", "--server", "http://" + addr}
	return &racing{p, true, 0, func() error { return listening(addr) }, map[string][]string{"raw": flags, "sse": flags, "polls": flags}}
}

// mustStart starts a program that ends with the test.
func mustStart(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p, err := start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}
