package main

import (
	"crypto/rand"
	"slices"

	"waft/auth"
	"waft/broker"
	"waft/xmpp"
)

// minter makes a token for somebody who asks by stanza.
type minter func(who broker.Principal, t xmpp.TokenRequest) (string, error)

// mint gives the realm's minter, which signs with its first key that can; nil if it has none.
func (r *realmSettings) mint(env environment, dir string) (minter, error) {
	keys, err := r.keys(env, dir)
	signing := slices.IndexFunc(keys, auth.Key.Signs)
	if err != nil || signing < 0 {
		return nil, err
	}
	key, realm, most := keys[signing], r.ID, r.Tokens.MaxLifetime.Duration
	return func(who broker.Principal, t xmpp.TokenRequest) (string, error) {
		if t.Lifetime > most {
			return "", broker.Errorf(broker.Invalid, "the lifetime is above the %v that the realm takes", duration{most})
		}
		return auth.MintFor(who, key, realm, auth.Claims{
			Subject: t.Subject, Lifetime: t.Lifetime, ID: rand.Text(), Issued: true,
			Rights: &auth.Rights{Publish: t.Publish, Subscribe: t.Subscribe, Read: t.Read, Manage: t.Manage},
		})
	}, nil
}
