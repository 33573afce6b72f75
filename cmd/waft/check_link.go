package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// linkUp is a line of the metrics, which say of each link whether it stands.
var linkUp = regexp.MustCompile(`^waft_xmpp_link_up\{domain="([^"]*)",realm="([^"]*)"\} (\S+)$`)

// links asks the admin listener whether the realm's links to XMPP servers stand. From outside nobody can tell: only the XMPP server sees them. Without
// --admin nothing is asked, and nothing found.
func (k *checkRun) links(ctx context.Context, web *http.Client) []finding {
	if k.admin == nil {
		return nil
	}
	f := finding{Check: "link", Protocol: "xmpp"}
	up, down, err := k.linkStates(ctx, web)
	switch {
	case err != nil:
		f.Detail = "asking the admin listener: " + err.Error()
	case len(down) > 0:
		f.Detail = "down: " + strings.Join(down, ", ")
	case len(up) > 0:
		f.OK, f.Detail = true, "up: "+strings.Join(up, ", ")
	default:
		f.OK, f.Detail = true, "skipped: the realm has no link to an XMPP server"
	}
	return []finding{f}
}

// linkStates are the domains of the realm's links.
func (k *checkRun) linkStates(ctx context.Context, web *http.Client) (up, down []string, err error) {
	response, err := get(ctx, web, k.admin.JoinPath("metrics"), secret{}, "text/plain")
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	seen := false
	lines := bufio.NewScanner(io.LimitReader(response.Body, maxCheckAnswer))
	for lines.Scan() {
		seen = seen || strings.HasPrefix(lines.Text(), "waft_")
		switch m := linkUp.FindStringSubmatch(lines.Text()); {
		case m == nil || m[2] != k.realm:
		case m[3] == "1":
			up = append(up, m[1])
		default:
			down = append(down, m[1])
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, err
	}
	if !seen {
		return nil, nil, fmt.Errorf("what %s answers are not waft's metrics", k.admin.JoinPath("metrics"))
	}
	return up, down, nil
}
