package loss

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Verdict is what became of everything.
type Verdict struct {
	Published []Published `json:"published"`
	Readers   []Row       `json:"readers"`
}

// Published is what the publishers of one protocol did.
type Published struct {
	Protocol     string `json:"protocol"`
	Sent         int    `json:"sent"`
	Acknowledged int    `json:"acknowledged"`
	Slowly       int    `json:"slowly"` // of these, while nothing could be stored quickly
	Early        int    `json:"early"`  // and of these, sooner than anything could be stored

	Findings []string `json:"findings,omitempty"` // the first few of the early
}

// find notes one that was acknowledged early.
func (p *Published) find(k Key, took, least time.Duration) {
	if p.Early++; p.Early <= maxFindings {
		p.Findings = append(p.Findings, fmt.Sprintf("early: %v was acknowledged after %v, when storing took %v", k, took, least))
	}
}

// Row is what one reader was handed. doc.go says what the words mean.
type Row struct {
	Reader       string   `json:"reader"`
	Protocol     string   `json:"protocol"`
	Breaks       int      `json:"breaks"`
	Acknowledged int      `json:"acknowledged"`
	Delivered    int      `json:"delivered"` // different messages, whether acknowledged or not
	Lost         int      `json:"lost"`
	Missed       int      `json:"missed"`
	Repeated     int      `json:"repeated"`
	Excess       int      `json:"excess"` // of the repeated
	Reordered    int      `json:"reordered"`
	Told         int      `json:"told"`
	Strange      int      `json:"strange"`
	Findings     []string `json:"findings,omitempty"` // the first few of what is wrong
}

// OK reports whether the reader got what it was promised.
func (r Row) OK() bool { return r.Lost+r.Excess+r.Reordered+r.Told+r.Strange == 0 }

// Err says what is wrong, or is nil.
func (v Verdict) Err() error {
	var errs []error
	for _, p := range v.Published {
		if p.Early > 0 {
			errs = append(errs, fmt.Errorf("%s: %d acknowledged before they can have been stored:\n  %s", p.Protocol, p.Early, strings.Join(p.Findings, "\n  ")))
		}
	}
	for _, r := range v.Readers {
		if !r.OK() {
			errs = append(errs, fmt.Errorf("%s: %d lost, %d repeated in excess, %d re-ordered, told of loss %d times, %d strange:\n  %s",
				r.Reader, r.Lost, r.Excess, r.Reordered, r.Told, r.Strange, strings.Join(r.Findings, "\n  ")))
		}
	}
	return errors.Join(errs...)
}

// maxFindings is how many of a kind are told.
const maxFindings = 8

// find notes one of a kind.
func (r *Row) find(count *int, format string, args ...any) {
	if *count++; *count <= maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// Judge compares. It may be called while things go on; then what is under way counts as lost.
func (l *Ledger) Judge() Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	var v Verdict
	v.Published = l.published()
	happened := l.happened()
	for _, r := range l.readers {
		row := Row{Reader: r.name, Protocol: r.protocol, Breaks: len(r.breaks)}
		for _, name := range slices.Sorted(maps.Keys(r.channels)) {
			t := r.channels[name]
			row.Delivered += len(t.order)
			l.judgeLost(&row, r, t, happened[name], l.fullest(name))
			l.judgeRepeats(&row, r, t)
			l.judgeOrder(&row, t)
			l.judgeAgreement(&row, t, l.fullest(name))
		}
		for _, what := range r.told {
			row.find(&row.Told, "told: %s", what)
		}
		for _, k := range r.strange {
			row.find(&row.Strange, "strange: %v", k)
		}
		v.Readers = append(v.Readers, row)
	}
	return v
}

func (l *Ledger) published() []Published {
	by := map[string]*Published{}
	for k, e := range l.sent {
		kind := l.kinds[k.Publisher]
		p := by[kind]
		if p == nil {
			p = &Published{Protocol: kind}
			by[kind] = p
		}
		p.Sent++
		if e.acknowledged > 0 {
			p.Acknowledged++
			l.judgeEarly(p, k, e)
		}
	}
	var all []Published
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		all = append(all, *by[kind])
	}
	return all
}

// happened is what was acknowledged, or seen by anybody, by channel.
func (l *Ledger) happened() map[string]map[Key]bool {
	all := map[string]map[Key]bool{}
	add := func(k Key) {
		if all[k.Channel] == nil {
			all[k.Channel] = map[Key]bool{}
		}
		all[k.Channel][k] = true
	}
	for k, e := range l.sent {
		if e.acknowledged > 0 {
			add(k)
		}
	}
	for _, r := range l.readers {
		for _, t := range r.channels {
			for _, k := range t.order {
				add(k)
			}
		}
	}
	return all
}

func (l *Ledger) judgeLost(row *Row, r *Reader, t *taken, happened map[Key]bool, fullest *taken) {
	var missing []Key
	for k := range happened {
		if l.sent[k].acknowledged > 0 {
			row.Acknowledged++
		}
		if t.of[k] == nil {
			missing = append(missing, k)
		}
	}
	if r.terms.MayMiss {
		excused := l.excused(r, t, fullest)
		missing = slices.DeleteFunc(missing, func(k Key) bool { return excused[k] })
		row.Missed += len(excused)
	}
	slices.SortFunc(missing, func(a, b Key) int { return int(l.sent[a].sent - l.sent[b].sent) })
	for _, k := range missing {
		if e := l.sent[k]; e.acknowledged > 0 {
			row.find(&row.Lost, "lost: %v, acknowledged at %s", k, e.at.Format("15:04:05.000"))
		} else {
			row.find(&row.Lost, "lost: %v, not acknowledged, but another reader has it", k)
		}
	}
}

// excused is what was under way when something broke, or while the reader was away: between the sending of a message and the next one that
// came of its channel.
func (l *Ledger) excused(r *Reader, t, fullest *taken) map[Key]bool {
	keys := map[Key]bool{}
	next := int64(math.MaxInt64)
	for _, k := range slices.Backward(fullest.order) {
		if c := t.of[k]; c != nil {
			next = c.at
		} else if r.interrupted(l.sent[k].sent, next) {
			keys[k] = true
		}
	}
	return keys
}

func (l *Ledger) judgeRepeats(row *Row, r *Reader, t *taken) {
	for _, k := range t.order {
		c := t.of[k]
		row.Repeated += c.n - 1
		allowed := 0
		if r.terms.Again {
			allowed = r.breaksSince(l.sent[k].sent)
		}
		for range min(c.n-1, max(c.n-1-allowed, c.other)) {
			row.find(&row.Excess, "repeated: %v came %d times, %d with another identity; %d repeats are allowed", k, c.n, c.other, allowed)
		}
	}
}

// judgeOrder looks for messages behind one that was sent after they had been acknowledged.
func (l *Ledger) judgeOrder(row *Row, t *taken) {
	var newest Key
	var sent int64
	for _, k := range t.order {
		e := l.sent[k]
		if e.acknowledged > 0 && e.acknowledged < sent {
			row.find(&row.Reordered, "re-ordered: %v came behind %v, which was sent after it had been acknowledged", k, newest)
		}
		if e.sent > sent {
			newest, sent = k, e.sent
		}
	}
}

// judgeAgreement looks for messages behind one that another reader had after them.
func (l *Ledger) judgeAgreement(row *Row, t, other *taken) {
	if t == other {
		return
	}
	place := make(map[Key]int, len(other.order))
	for i, k := range other.order {
		place[k] = i
	}
	furthest := -1
	for _, k := range t.order {
		i, ok := place[k]
		switch {
		case !ok: // lost there, if it happened
		case i < furthest:
			row.find(&row.Reordered, "re-ordered: %v came behind %v, and the other way round for another reader", k, other.order[furthest])
		default:
			furthest = i
		}
	}
}

// fullest is what the reader has who has most of a channel.
func (l *Ledger) fullest(channel string) *taken {
	var most *taken
	for _, r := range l.readers {
		if t := r.channels[channel]; t != nil && (most == nil || len(t.order) > len(most.order)) {
			most = t
		}
	}
	return most
}
