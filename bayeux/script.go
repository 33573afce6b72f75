package bayeux

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"waft/broker"
)

// script is the client that pages load from <mount>.js or <mount>/client.js, as they do from Faye's server. waft has none
// of its own: it serves the file that Options.ClientScript names.
type script struct {
	text []byte
	tag  string
}

func readScript(file string) (*script, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "the client script cannot be served: %w", err)
	}
	sum := sha256.Sum256(text)
	return &script{text, `"` + hex.EncodeToString(sum[:16]) + `"`}, nil
}

// CheckScript tells whether Options.ClientScript can be file.
func CheckScript(file string) error {
	_, err := readScript(file)
	return err
}

// isScript tells whether the path is one where pages look for a script.
func isScript(path string) bool {
	return strings.HasSuffix(path, ".js") || strings.HasSuffix(path, ".map")
}

// serveScript is for pages of every origin: a script is no secret.
func (h *Handler) serveScript(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if h.script == nil || name != "client.js" && name != "bayeux.js" {
		refuse(w, http.StatusNotFound, "this server has no copy of the client script: serve it with your pages")
		return
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Cache-Control", "public, no-cache") // keep it, and ask whether it is still the same
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	header.Set("ETag", h.script.tag)
	header["X-Content-Type-Options"] = noSniff
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.script.text))
}
