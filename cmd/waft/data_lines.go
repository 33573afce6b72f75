package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"waft/broker"
	"waft/broker/disk"
)

// line is one message as it is exported: an item of the HTTP publish API, which leaves unread what it does not know.
type line struct {
	Channel   broker.Channel             `json:"channel"`
	ID        string                     `json:"id,omitempty"`
	Formats   map[string]json.RawMessage `json:"formats"` // of them json-object is the message's data
	Time      *time.Time                 `json:"time,omitempty"`
	Publisher string                     `json:"publisher,omitempty"`
}

const jsonObject = "json-object"

// export writes a realm's messages.
func export(ctx context.Context, r *disk.Reading, realm string, to io.Writer) error {
	realms, err := r.Realms()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(to)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // the texts are the publishers'
	n := 0
	err = r.Messages(ctx, realm, func(m *broker.Message) error {
		n++
		l := line{Channel: m.Channel, ID: m.ID, Formats: map[string]json.RawMessage{}, Time: new(m.Time.UTC()), Publisher: m.Publisher}
		maps.Copy(l.Formats, m.Formats)
		if m.Data != nil {
			l.Formats[jsonObject] = m.Data
		}
		return encoder.Encode(l)
	})
	if err = firstError(err, w.Flush()); err != nil {
		return fmt.Errorf("after %d messages: %w", n, err)
	}
	if n == 0 && len(realms) > 0 {
		return fmt.Errorf("realm %s keeps no messages; there are those of %q", broker.Quote(realm), realms)
	}
	return nil
}

// parseLine is the way back. most is how many bytes of text a message may have. Errors: of kind Invalid, TooLarge, Forbidden.
func parseLine(text []byte, most int, now time.Time) (*broker.Message, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, broker.Errorf(broker.Invalid, "the line is not a JSON object as waft data export prints it: %v", err)
	}
	channel, err := broker.ParseName(string(l.Channel))
	if err != nil {
		return nil, err
	}
	if l.ID == "" {
		return nil, broker.Errorf(broker.Invalid, `the message has no "id"`)
	}
	m := &broker.Message{ID: l.ID, Channel: channel, Publisher: l.Publisher, Time: now, Data: l.Formats[jsonObject]}
	if delete(l.Formats, jsonObject); len(l.Formats) > 0 {
		m.Formats = l.Formats
	}
	if l.Time != nil {
		if year := l.Time.Year(); year < 1970 || year > 2261 { // what nanoseconds in 64 bits can say
			return nil, broker.Errorf(broker.Invalid, "the time %s cannot be stored", l.Time.Format(time.RFC3339))
		}
		m.Time = *l.Time
	}
	return m, broker.CheckMessage(m, most)
}

// importing is an import under way.
type importing struct {
	engine *disk.Engine
	keep   func(broker.Channel) broker.Retention
	most   int

	line, done     int // the line that is being read, and the last that is stored
	stored, unkept int
	batch          []broker.Append
}

// importBatch is how many messages wait for the disk together.
const importBatch = 512

// read stores the lines from a given one on. When it fails, those up to in.done are stored.
func (in *importing) read(ctx context.Context, from io.Reader, first int) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 8*in.most+(64<<10)) // JSON may be six times as long escaped
	in.done = first - 1
	for lines.Scan() {
		if in.line++; in.line < first {
			continue
		}
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		m, err := parseLine(text, in.most, time.Now())
		if err != nil {
			return firstError(in.store(ctx, in.line-1), err)
		}
		keep := in.keep(m.Channel)
		if keep.Size <= 0 {
			in.unkept++
			continue
		}
		if in.batch = append(in.batch, broker.Append{Message: m, Keep: keep}); len(in.batch) == importBatch {
			if err := in.store(ctx, in.line); err != nil {
				return err
			}
		}
	}
	if err := in.store(ctx, in.line); err != nil {
		return err
	}
	err := lines.Err()
	if err != nil {
		in.line++
	}
	if errors.Is(err, bufio.ErrTooLong) {
		err = broker.Errorf(broker.TooLarge, "the line is longer than any message may be (realm.limits.max_message)")
	}
	return err
}

// store stores what is gathered, up to a line.
func (in *importing) store(ctx context.Context, upTo int) error {
	if len(in.batch) > 0 {
		if _, err := in.engine.PublishAll(ctx, in.batch); err != nil {
			return err
		}
	}
	in.stored += len(in.batch)
	in.batch, in.done = in.batch[:0], max(in.done, upTo)
	return nil
}
