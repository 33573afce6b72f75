package main

import (
	"waft/auth"
	"waft/broker"
	"waft/xmpp"
)

// minter makes a token for somebody who asks by stanza.
type minter func(who broker.Principal, t xmpp.TokenRequest) (string, error)

// mint gives the realm's minter, which signs with its first key; nil if it has none.
func (r *realmSettings) mint(env environment, dir string) (minter, error) {
	keys, err := r.keys(env, dir)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	key, realm, most := keys[0], r.ID, r.Tokens.MaxLifetime.Duration
	return func(who broker.Principal, t xmpp.TokenRequest) (string, error) {
		if t.Lifetime > most {
			return "", broker.Errorf(broker.Invalid, "the lifetime is above the %v that the realm takes", duration{most})
		}
		return auth.MintFor(who, key, realm, auth.Claims{
			Subject: t.Subject, Lifetime: t.Lifetime,
			Rights: &auth.Rights{Publish: t.Publish, Subscribe: t.Subscribe, Read: t.Read, Manage: t.Manage},
		})
	}, nil
}
