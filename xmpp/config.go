package xmpp

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"waft/broker"
)

// config is how a node is set up (XEP-0060 §16.4.4). It bears on what XMPP users see and may do, and never on the channel
// itself, which other protocols share: how much of a channel is kept is for the rules to say, and a node can show less
// of it, not more.
type config struct {
	Title            string `json:"title,omitempty"`
	Description      string `json:"description,omitempty"`
	AccessModel      string `json:"access_model"`
	PublishModel     string `json:"publish_model"`
	MaxItems         int    `json:"max_items,omitempty"`   // the newest so many are shown; 0: all that are kept
	ItemExpire       int    `json:"item_expire,omitempty"` // seconds that an item is shown; 0: as long as it is kept
	Persist          bool   `json:"persist_items"`
	Payloads         bool   `json:"deliver_payloads"`
	Notifications    bool   `json:"deliver_notifications"`
	NotificationType string `json:"notification_type"`
	MaxPayload       int    `json:"max_payload_size,omitempty"` // bytes; 0: the service's limit
	SendLast         string `json:"send_last_published_item"`
	NotifyConfig     bool   `json:"notify_config"`
	NotifyDelete     bool   `json:"notify_delete"`
	NotifyRetract    bool   `json:"notify_retract"`
	NotifySub        bool   `json:"notify_sub,omitempty"`
	PresenceDelivery bool   `json:"presence_based_delivery,omitempty"`
	TempSub          bool   `json:"tempsub,omitempty"` // subscriptions end when their users go offline
	PurgeOffline     bool   `json:"purge_offline,omitempty"`
	NodeFull         string `json:"publish_node_full"`
	ItemReply        string `json:"itemreply"`
}

// Values of config's lists.
const (
	accessOpen         = "open"
	accessWhitelist    = "whitelist"
	accessAuthorize    = "authorize"
	publishOpen        = "open"
	publishSubscribers = "subscribers"
	publishPublishers  = "publishers"
	typeHeadline       = "headline"
	typeNormal         = "normal"
	lastNever          = "never"
	lastOnSub          = "on_sub"
	lastOnPresence     = "on_sub_and_presence"
	fullDiscard        = "discard-oldest"
	fullReject         = "reject"
	fullRetract        = "retract-oldest"
	replyOwner         = "owner"
	replyPublisher     = "publisher"
)

// defaultConfig is what a created node begins with.
func defaultConfig() config {
	return config{
		AccessModel: accessOpen, PublishModel: publishPublishers, Persist: true, Payloads: true, Notifications: true,
		NotificationType: typeHeadline, SendLast: lastNever, NotifyDelete: true, NotifyRetract: true,
		NodeFull: fullDiscard, ItemReply: replyOwner,
	}
}

// unclaimed is how a channel behaves that nobody has made a node of his own: the rules alone say who may publish. It is
// not changed.
var unclaimed = func() config {
	c := defaultConfig()
	c.PublishModel, c.NotifyRetract = publishOpen, false
	return c
}()

// setting is one field of the node configuration.
type setting struct {
	name, typ, label string
	options          []string // of a list-single; the first is the default
	get              func(c *config, o *Options) string
	set              func(c *config, o *Options, value string) error // nil: it cannot be changed
}

// mostSeconds is the longest item_expire: 68 years.
const mostSeconds = 1<<31 - 1

// settings is the vocabulary, in the order of the form.
var settings = []setting{
	text("title", "A short name", func(c *config) *string { return &c.Title }, func(o *Options) int { return o.MaxTitle }),
	text("description", "What the node is for", func(c *config) *string { return &c.Description }, func(o *Options) int { return o.MaxDescription }),
	{
		name: "type", typ: "text-single", label: "The namespace of the payloads",
		get: func(*config, *Options) string { return nsJSON },
	},
	list("access_model", "Who may subscribe and read", func(c *config) *string { return &c.AccessModel }, accessOpen, accessWhitelist, accessAuthorize),
	list("publish_model", "Who may publish", func(c *config) *string { return &c.PublishModel }, publishPublishers, publishSubscribers, publishOpen),
	number("max_items", "Newest items that are shown, or max", func(c *config) *int { return &c.MaxItems }, func(o *Options) int { return o.MaxNodeItems }),
	number("item_expire", "Seconds for which an item is shown, or max", func(c *config) *int { return &c.ItemExpire }, func(*Options) int { return mostSeconds }),
	boolean("persist_items", "Show items that were published before", func(c *config) *bool { return &c.Persist }),
	boolean("deliver_payloads", "Deliver payloads with notifications", func(c *config) *bool { return &c.Payloads }),
	boolean("deliver_notifications", "Notify subscribers", func(c *config) *bool { return &c.Notifications }),
	list("notification_type", "Message type of notifications", func(c *config) *string { return &c.NotificationType }, typeHeadline, typeNormal),
	{
		name: "max_payload_size", typ: "text-single", label: "Bytes of a payload",
		get: func(c *config, o *Options) string { return strconv.Itoa(c.payloadLimit(o)) },
		set: func(c *config, o *Options, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > o.MaxPayload {
				return fmt.Errorf("max_payload_size is a number from 1 to %d", o.MaxPayload)
			}
			if c.MaxPayload = n; n == o.MaxPayload {
				c.MaxPayload = 0 // so that it follows the service's limit
			}
			return nil
		},
	},
	list("send_last_published_item", "When to send the last item", func(c *config) *string { return &c.SendLast }, lastNever, lastOnSub, lastOnPresence),
	boolean("presence_based_delivery", "Deliver to available users only", func(c *config) *bool { return &c.PresenceDelivery }),
	boolean("tempsub", "End subscriptions when their users go offline", func(c *config) *bool { return &c.TempSub }),
	boolean("purge_offline", "Remove a publisher's items when he goes offline", func(c *config) *bool { return &c.PurgeOffline }),
	list("publish_node_full", "What to do when there are max_items", func(c *config) *string { return &c.NodeFull }, fullDiscard, fullReject, fullRetract),
	boolean("notify_config", "Notify subscribers of a new configuration", func(c *config) *bool { return &c.NotifyConfig }),
	boolean("notify_delete", "Notify subscribers when the node is deleted", func(c *config) *bool { return &c.NotifyDelete }),
	boolean("notify_retract", "Notify subscribers when an item is removed", func(c *config) *bool { return &c.NotifyRetract }),
	boolean("notify_sub", "Notify owners of who subscribes and unsubscribes", func(c *config) *bool { return &c.NotifySub }),
	list("itemreply", "Whom replies to an item go to", func(c *config) *string { return &c.ItemReply }, replyOwner, replyPublisher),
}

func text(name, label string, at func(*config) *string, most func(*Options) int) setting {
	return setting{
		name: name, typ: "text-single", label: label,
		get: func(c *config, _ *Options) string { return *at(c) },
		set: func(c *config, o *Options, v string) error {
			if len(v) > most(o) {
				return fmt.Errorf("%s has %d bytes, more than the limit of %d", name, len(v), most(o))
			}
			*at(c) = v
			return nil
		},
	}
}

func list(name, label string, at func(*config) *string, options ...string) setting {
	return setting{
		name: name, typ: "list-single", label: label, options: options,
		get: func(c *config, _ *Options) string { return *at(c) },
		set: func(c *config, _ *Options, v string) error {
			if !slices.Contains(options, v) {
				return fmt.Errorf("%s cannot be %s; it is one of %q", name, broker.Quote(v), options)
			}
			*at(c) = v
			return nil
		},
	}
}

// number is a setting from 1 up, or "max", which is 0 inside.
func number(name, label string, at func(*config) *int, most func(*Options) int) setting {
	return setting{
		name: name, typ: "text-single", label: label,
		get: func(c *config, _ *Options) string {
			if *at(c) == 0 {
				return "max"
			}
			return strconv.Itoa(*at(c))
		},
		set: func(c *config, o *Options, v string) error {
			n, err := strconv.Atoi(v)
			switch {
			case v == "max":
				n = 0
			case err != nil || n < 1 || n > most(o):
				return fmt.Errorf("%s is a number from 1 to %d, or max", name, most(o))
			}
			*at(c) = n
			return nil
		},
	}
}

func boolean(name, label string, at func(*config) *bool) setting {
	return setting{
		name: name, typ: "boolean", label: label,
		get: func(c *config, _ *Options) string {
			if *at(c) {
				return "1"
			}
			return "0"
		},
		set: func(c *config, _ *Options, v string) error {
			on, err := xmlBool(v)
			if err != nil {
				return fmt.Errorf("%s is a boolean: 0, 1, false or true", name)
			}
			*at(c) = on
			return nil
		},
	}
}

// xmlBool reads a boolean of XML Schema.
func xmlBool(v string) (bool, error) {
	switch v {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, errBadSetting
}

// settingOf finds the setting that a field of a form names.
func settingOf(field string) (setting, bool) {
	const prefix = "pubsub#"
	if len(field) < len(prefix) || field[:len(prefix)] != prefix {
		return setting{}, false
	}
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == field[len(prefix):] })
	if i < 0 {
		return setting{}, false
	}
	return settings[i], true
}

// readOnly are the fields of a node's description that look like settings.
var readOnly = []string{"pubsub#creation_date", "pubsub#creator", "pubsub#num_subscribers", "pubsub#owner", "pubsub#publisher"}

// submit applies a form to c, all of it or, with an error, nothing. Fields that nobody knows are passed over
// (XEP-0004 §3.2), but what cannot be changed is refused.
func (c *config) submit(f form, o *Options) error {
	changed := *c
	for _, field := range f.fields {
		s, ok := settingOf(field.name)
		switch {
		case slices.Contains(readOnly, field.name):
			return errBadSetting.saying(broker.Quote(field.name) + " cannot be changed")
		case !ok:
			continue
		case len(field.values) > 1:
			return errBadSetting.saying(s.name + " has more than one value")
		case s.set == nil:
			if field.values[0] != s.get(c, o) {
				return errBadSetting.saying(s.name + " cannot be changed: it is " + s.get(c, o))
			}
			continue
		}
		if err := s.set(&changed, o, field.values[0]); err != nil {
			if s.name == "access_model" {
				return errAccessModel.saying(err.Error())
			}
			return errBadSetting.saying(err.Error())
		}
	}
	*c = changed
	return nil
}

// meets tells whether c is as the options of a publish demand (XEP-0060 §7.1.5): each field a precondition on the setting
// of that name. The error names the first that is not met, or not known.
func (c *config) meets(f form, o *Options) error {
	for _, field := range f.fields {
		s, ok := settingOf(field.name)
		if !ok {
			return errPrecondition.saying("the service does not know the option " + broker.Quote(field.name))
		}
		same := len(field.values) == 1
		if same && s.set != nil {
			wanted := *c
			same = s.set(&wanted, o, field.values[0]) == nil && wanted == *c // 1 and true are the same
		} else if same {
			same = field.values[0] == s.get(c, o)
		}
		if !same {
			return errPrecondition.saying(fmt.Sprintf("%s is %s", s.name, broker.Quote(s.get(c, o))))
		}
	}
	return nil
}

// become sets c up as the options of a publish demand.
func (c *config) become(f form, o *Options) error {
	for _, field := range f.fields {
		if _, ok := settingOf(field.name); !ok {
			return errPrecondition.saying("the service does not know the option " + broker.Quote(field.name))
		}
	}
	if err := c.submit(f, o); err != nil {
		return errPrecondition.saying(err.Error())
	}
	return nil
}

// fields are the settings for a form.
func (c *config) fields(o *Options) []fieldForm {
	all := make([]fieldForm, len(settings))
	for i, s := range settings {
		all[i] = fieldForm{name: "pubsub#" + s.name, typ: s.typ, label: s.label, values: []string{s.get(c, o)}, options: s.options}
	}
	return all
}

// payloadLimit is how many bytes a payload may have.
func (c *config) payloadLimit(o *Options) int {
	if c.MaxPayload == 0 {
		return o.MaxPayload
	}
	return min(c.MaxPayload, o.MaxPayload)
}

// narrows tells whether less is shown than is kept.
func (c *config) narrows() bool { return c.MaxItems > 0 || c.ItemExpire > 0 }

// expiry is the time before which an item is not shown any more; zero: none.
func (c *config) expiry(now time.Time) time.Time {
	if c.ItemExpire == 0 {
		return time.Time{}
	}
	return now.Add(-time.Duration(c.ItemExpire) * time.Second)
}

// form is how the node's items are written.
func (c *config) form() itemForm {
	if c.ItemReply == replyPublisher {
		return withPublisher
	}
	return 0
}

// eventForm is how they are written in events.
func (c *config) eventForm() itemForm {
	if c.Payloads {
		return c.form()
	}
	return c.form() | naked
}

// bare tells that publishing to the node is a signal and no more: nothing is kept and nothing delivered but the fact
// (XEP-0060 §4.3).
func (c *config) bare() bool { return !c.Persist && !c.Payloads }
