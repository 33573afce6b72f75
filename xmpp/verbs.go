package xmpp

import (
	"context"
	"slices"

	"mellium.im/xmpp/pubsub"

	"waft/xmpp/component"
)

// verbs are the requests of XEP-0060 that are offered to everybody.
var verbs = map[string]verb{
	"affiliations":  {get: (*Service).ownAffiliations},
	"create":        {set: (*Service).create, beside: "configure"},
	"default":       {get: (*Service).defaultOptions},
	"items":         {get: (*Service).items},
	"options":       {get: (*Service).subscriptionOptions, set: (*Service).setSubscriptionOptions},
	"publish":       {set: (*Service).publish, beside: "publish-options"},
	"retract":       {set: (*Service).retract},
	"subscribe":     {set: (*Service).subscribe, beside: "options"},
	"subscriptions": {get: (*Service).ownSubscriptions},
	"unsubscribe":   {set: (*Service).unsubscribe},
}

// ownerVerbs are those of the owners' namespace.
var ownerVerbs = map[string]verb{
	"affiliations":  {get: (*Service).affiliations, set: (*Service).setAffiliations},
	"configure":     {get: (*Service).configuration, set: (*Service).configure},
	"default":       {get: (*Service).defaults},
	"delete":        {set: (*Service).delete},
	"purge":         {set: (*Service).purge},
	"subscriptions": {get: (*Service).subscriptions, set: (*Service).setSubscriptions},
}

// companions may stand beside a verb, and would change its meaning if they were passed over where they are not expected.
var companions = map[string]pubsub.Feature{
	"options":         pubsub.FeatureSubscriptionOptions,
	"configure":       pubsub.FeatureCreateAndConfigure,
	"publish-options": pubsub.FeaturePublishOptions,
}

// pubsub does the one verb in <pubsub/>.
func (s *Service) pubsub(ctx context.Context, r *request) error {
	return s.doVerb(ctx, r, verbs)
}

// pubsubOwner does the one verb of an owner.
func (s *Service) pubsubOwner(ctx context.Context, r *request) error {
	return s.doVerb(ctx, r, ownerVerbs)
}

func (s *Service) doVerb(ctx context.Context, r *request, offered map[string]verb) error {
	if r.payload.Name.Local != "pubsub" || len(r.payload.Children) == 0 {
		return errNoVerb
	}
	space := r.payload.Name.Space
	at := slices.IndexFunc(r.payload.Children, func(c *component.Element) bool { return c.Name.Space == space })
	if at < 0 {
		return errUnknownVerb
	}
	r.verb = r.payload.Children[at]
	v, ok := offered[r.verb.Name.Local]
	if !ok {
		return errUnknownVerb
	}
	do, err := v.handler(r.Type)
	if err != nil {
		return err
	}
	found := false
	for i, c := range r.payload.Children {
		switch {
		case i == at || c.Name.Space != space: // what is of another namespace (a result set's limits) is for the verb to look at
		case c.Name.Local == v.beside && !found:
			found = true
		default:
			if err := companion(c); err != nil {
				return err
			}
		}
	}
	return do(s, ctx, r)
}

// companion judges what stands beside a verb that does not expect it: nothing is done when something else was asked for
// as well.
func companion(c *component.Element) error {
	f, known := companions[c.Name.Local]
	switch {
	case !known:
		return errTwoVerbs
	case asks(c):
		return unsupported(f)
	}
	return nil
}

// asks tells whether options hold any wish. Some libraries send them empty, which wishes for nothing.
func asks(options *component.Element) bool {
	for _, form := range options.Children {
		if form.Name.Space != nsForm || form.Name.Local != "x" {
			return true
		}
		for _, f := range form.Children {
			if f.Name.Local != "field" || f.Attr("var") != "FORM_TYPE" {
				return true
			}
		}
	}
	return false
}
