package httppub

import (
	"net/url"
	"strings"

	"waft/broker"
)

// target is what an address names.
type target struct {
	realm   string
	channel broker.Channel // "": every item names its own
}

// parsePath reads an escaped path. It works on the escaped form and by hand, because a router that unescapes and cleans
// first turns "a%2Fb/" and "a//b" into other channels, or redirects to them. The error is of kind NotFound for an
// address that is not one of this package, else of kind Invalid.
func parsePath(escaped string) (target, error) {
	realm, channel, ok := cutPath(escaped)
	if !ok {
		return target{}, broker.Errorf(broker.NotFound,
			"there is nothing at %s; publish with a POST to /realm/{realm}/publish/", broker.Quote(escaped))
	}
	to := target{}
	var err error
	if to.realm, err = url.PathUnescape(realm); err != nil {
		return target{}, broker.Errorf(broker.Invalid, "the realm in the address: %v", err)
	}
	if channel == "" {
		return to, nil
	}
	to.channel, err = parseChannel(strings.TrimSuffix(channel[1:], "/"))
	return to, err
}

// cutPath splits "/realm/{realm}/publish" and what follows it: nothing, or a slash and an escaped channel, perhaps
// with a slash behind. A lone slash follows nothing either. The second slash of "//publish" comes from a client's base
// address.
func cutPath(escaped string) (realm, channel string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/realm/")
	if !ok {
		return "", "", false
	}
	realm, rest, ok = strings.Cut(rest, "/")
	if !ok || realm == "" {
		return "", "", false
	}
	rest = strings.TrimPrefix(rest, "/")
	channel, ok = strings.CutPrefix(rest, "publish")
	if !ok || channel != "" && channel[0] != '/' {
		return "", "", false
	}
	if channel == "/" {
		channel = ""
	}
	return realm, channel, true
}

// parseChannel unescapes once and checks: "a%2Fb" and "a/b" are /a/b, and "a%252Fb" is wrong.
func parseChannel(escaped string) (broker.Channel, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return "", broker.Errorf(broker.Invalid, "the channel in the address: %v", err)
	}
	if name == "" {
		return "", broker.Errorf(broker.Invalid, "the channel in the address is empty")
	}
	return broker.ParseName(name)
}
