package loss

import (
	"fmt"
	"strings"
)

// Table is the verdict in Markdown.
func (v Verdict) Table() string {
	var b strings.Builder
	b.WriteString("| published over | sent | acknowledged | of these while the disk was slow | of these early |\n|---|---|---|---|---|\n")
	for _, p := range v.Published {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", p.Protocol, p.Sent, p.Acknowledged, p.Slowly, p.Early)
	}
	b.WriteString("\n| read over | interrupted | acknowledged | delivered | lost | missed, as documented | repeated | of these in excess | re-ordered |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range v.Readers {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d |\n",
			r.Reader, r.Breaks, r.Acknowledged, r.Delivered, r.Lost, r.Missed, r.Repeated, r.Excess, r.Reordered)
	}
	return b.String()
}
