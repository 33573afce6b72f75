package presence

import (
	"context"
	"encoding/json"
	"slices"

	"waft/broker"
)

// change is what a look has found.
type change struct {
	here      []string // subjects, those in their grace too
	joined    []string // of here
	left      []string
	anonymous int
}

func (c *change) present(subject string, m *member) {
	c.here = append(c.here, subject)
	if !m.told {
		c.joined = append(c.joined, subject)
	}
}

// message is what subscribers of a presence channel get.
type message struct {
	Count     int `json:"count"`     // of subjects and of sessions without one
	Anonymous int `json:"anonymous"` // the latter

	Joined      []string `json:"joined,omitempty"`
	JoinedMore  int      `json:"joined_more,omitempty"` // that are not named
	Left        []string `json:"left,omitempty"`
	LeftMore    int      `json:"left_more,omitempty"`
	Present     []string `json:"present,omitzero"` // for who is new here: everybody, if they are not too many
	PresentMore int      `json:"present_more,omitempty"`
}

// publish tells a change. Everybody there is named if somebody asked.
func (t *Tracker) publish(c broker.Channel, found *change, asked bool) error {
	err := t.publishNaming(c, found, asked, t.opts.MaxNames)
	if broker.KindOf(err) == broker.TooLarge && err != nil {
		err = t.publishNaming(c, found, asked, 0)
	}
	return err
}

func (t *Tracker) publishNaming(c broker.Channel, found *change, asked bool, most int) error {
	m := message{Count: len(found.here) + found.anonymous, Anonymous: found.anonymous}
	m.Joined, m.JoinedMore = some(found.joined, most)
	m.Left, m.LeftMore = some(found.left, most)
	if asked {
		m.Present, m.PresentMore = some(found.here, most)
	}
	text, err := json.Marshal(&m)
	if err != nil {
		return err
	}
	ctx := context.WithValue(t.life, ownKey{}, t)
	_, err = t.broker.Publish(ctx, broker.Principal{}, &broker.Message{Channel: t.channelOf(c), Data: text}, broker.PublishOptions{})
	return err
}

// some is at most so many of the names, in order, and how many are left out.
func some(names []string, most int) (_ []string, more int) {
	few := slices.Clone(names[:min(len(names), most)])
	slices.Sort(few)
	return append([]string{}, few...), len(names) - len(few)
}
