package xmpp

import (
	"context"
	"slices"

	"mellium.im/xmpp/pubsub"

	"waft/xmpp/component"
)

// verbs are the requests of XEP-0060 that are offered.
var verbs = map[string]verb{
	"publish":     {set: true, do: (*Service).publish},
	"subscribe":   {set: true, do: (*Service).subscribe},
	"unsubscribe": {set: true, do: (*Service).unsubscribe},
	"items":       {do: (*Service).items},
}

// Verbs that are not offered, and the feature that would have announced them.
var (
	notOffered = map[string]pubsub.Feature{
		"create":        pubsub.FeatureCreateNodes,
		"retract":       pubsub.FeatureDeleteItems,
		"subscriptions": pubsub.FeatureRetrieveSubscriptions,
		"affiliations":  pubsub.FeatureRetrieveAffiliations,
		"options":       pubsub.FeatureSubscriptionOptions,
		"default":       pubsub.FeatureSubscriptionOptions, // XEP-0060 §6.4: of subscriptions
	}
	notOfferedToOwners = map[string]pubsub.Feature{
		"configure":     pubsub.FeatureConfigNode,
		"default":       pubsub.FeatureRetrieveDefault,
		"delete":        pubsub.FeatureDeleteNodes,
		"purge":         pubsub.FeaturePurgeNodes,
		"subscriptions": pubsub.FeatureManageSubscriptions,
		"affiliations":  pubsub.FeatureModifyAffiliations,
	}
	// What may stand beside a verb, and would change its meaning if it were not refused.
	companions = map[string]pubsub.Feature{
		"options":         pubsub.FeatureSubscriptionOptions,
		"configure":       pubsub.FeatureCreateAndConfigure,
		"publish-options": pubsub.FeaturePublishOptions,
	}
)

// pubsub does the one verb in <pubsub/>.
func (s *Service) pubsub(ctx context.Context, r *request) error {
	if r.payload.Name.Local != "pubsub" || len(r.payload.Children) == 0 {
		return errNoVerb
	}
	at := slices.IndexFunc(r.payload.Children, func(c *component.Element) bool { return c.Name.Space == pubsub.NS })
	if at < 0 {
		return errUnknownVerb
	}
	r.verb = r.payload.Children[at]
	if f, ok := notOffered[r.verb.Name.Local]; ok {
		return unsupported(f)
	}
	v, ok := verbs[r.verb.Name.Local]
	switch {
	case !ok:
		return errUnknownVerb
	case v.set != (r.Type == "set"):
		return errWrongType
	}
	for i, c := range r.payload.Children {
		if i != at {
			if err := companion(c); err != nil {
				return err
			}
		}
	}
	return v.do(s, ctx, r)
}

// companion judges what stands beside the verb: nothing is done when something else was asked for as well. What is of
// another namespace (a result set's limits) is for the verb to look at.
func companion(c *component.Element) error {
	f, known := companions[c.Name.Local]
	switch {
	case c.Name.Space != pubsub.NS:
		return nil
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

const nsForm = "jabber:x:data" // XEP-0004

// pubsubOwner answers what owners of nodes ask. There are none yet.
func (s *Service) pubsubOwner(r *request) error {
	if r.payload.Name.Local != "pubsub" || len(r.payload.Children) == 0 {
		return errNoVerb
	}
	if f, ok := notOfferedToOwners[r.payload.Children[0].Name.Local]; ok {
		return unsupported(f)
	}
	return errUnknownVerb
}
