package auth

import "waft/broker"

// MintFor is Mint for somebody who asks for a token: its rights must be said, and lie within his own, and it must not
// outlive them. Errors: Forbidden, and those of Mint.
func MintFor(who broker.Principal, key Key, realm string, c Claims) (string, error) {
	if c.Rights == nil {
		return "", broker.Errorf(broker.Invalid, "the token's rights are not said")
	}
	for _, g := range c.Rights.Grants() {
		if !covered(who.Grants, g) {
			return "", broker.Errorf(broker.Forbidden, "you cannot let others %s %s: you may not yourself", verb(g.Action), g.Pattern)
		}
	}
	if !who.Expires.IsZero() && c.ends().After(who.Expires) {
		return "", broker.Errorf(broker.Forbidden, "the token would outlive your own credential, which expires at %s", stamp(who.Expires))
	}
	return Mint(key, realm, c)
}
