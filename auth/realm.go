package auth

import "waft/broker"

// checkRealm holds a realm's id against [a-z0-9-]{1,63}. It is the issuer of the realm's tokens, so it must not be the
// issuer of XMPP's users: a token with sub "alice@example.org" would then pass for the user of that name.
func checkRealm(id string) error {
	if id == "" || len(id) > 63 {
		return broker.Errorf(broker.Invalid, "a realm's id has 1 to 63 characters, not %d", len(id))
	}
	for i := range len(id) {
		if c := id[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return broker.Errorf(broker.Invalid, "the realm's id %s has something else than a-z, 0-9 and '-' at byte %d",
				broker.Quote(id), i)
		}
	}
	if id == XMPPIssuer {
		return broker.Errorf(broker.Invalid, "no realm can have the id %q: it stands for the users of XMPP servers", id)
	}
	return nil
}
