package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"waft/bayeux"
)

// minIdle is the least that http.idle_timeout may be: Faye and CometD keep their connection for up to a minute
// between two polls, and a server that closes it just then loses a request.
const minIdle = 75 * time.Second

// validate looks at the completed settings as a whole and tells everything that is wrong with them in one error.
func (s *settings) validate(env environment) error {
	var f faults
	for _, l := range []struct{ key, address string }{{"listen", s.Listen}, {"admin_listen", s.AdminListen}} {
		if err := checkAddress(l.address); err != nil {
			f.add("%s: %v", l.key, err)
		}
	}
	if _, err := parseProxies(s.Proxies); err != nil {
		f.add("trusted_proxies: %v", err)
	}
	if s.ProxyProtocol && len(s.Proxies) == 0 {
		f.add("proxy_protocol: nobody's PROXY header is believed; list the proxies in trusted_proxies")
	}
	s.TLS.validate(&f, s.dir)
	if s.Listen == s.AdminListen && !strings.HasSuffix(s.Listen, ":0") {
		f.add("admin_listen: %s is the address of listen", s.AdminListen)
	}
	if !slices.Contains([]string{"text", "json"}, s.LogFormat) {
		f.add("log_format: %q is neither \"text\" nor \"json\"", s.LogFormat)
	}
	if _, ok := logLevels[s.LogLevel]; !ok {
		f.add("log_level: %q is none of debug, info, warn and error", s.LogLevel)
	}
	if !slices.Contains([]string{"always", "interval", "never"}, s.Disk.Fsync) {
		f.add("disk.fsync: %q is none of \"always\", \"interval\" and \"never\"", s.Disk.Fsync)
	}
	if idle := s.HTTP.IdleTimeout; idle.Duration >= 0 && idle.Duration < minIdle {
		f.add("http.idle_timeout: %v is less than %v, and clients would lose requests", idle, minIdle)
	}
	f.negatives("", reflect.ValueOf(s).Elem())

	ids, hosts := map[string]bool{}, map[string]string{}
	for i := range s.Realms {
		r := &s.Realms[i]
		where := fmt.Sprintf("realm %d (%s)", i+1, r.ID)
		if ids[r.ID] {
			f.add("%s: another realm has this id", where)
		}
		ids[r.ID] = true
		for j, h := range r.Hosts {
			name := hostName(h)
			switch other := hosts[name]; {
			case name == "" || strings.ContainsAny(h, "/:* "):
				f.add("%s: hosts: %q is not a host name; write it without scheme, port and path", where, h)
			case other != "":
				f.add("%s: hosts: %s belongs to realm %s", where, name, other)
			}
			hosts[name], r.Hosts[j] = r.ID, name
		}
		r.validate(&f, where, env, s.dir)
	}
	domains := map[string]bool{}
	for _, r := range s.Realms {
		for _, x := range r.XMPP {
			if domains[x.Domain] {
				f.add("xmpp: two links have the domain %s", x.Domain)
			}
			domains[x.Domain] = true
		}
	}
	return f.err()
}

func (r *realmSettings) validate(f *faults, where string, env environment, dir string) {
	if _, err := r.verifier(env, dir); err != nil {
		// The verifier stops at the first fault, and keys are where most are: look at each of them.
		named := false
		for i := range r.Keys {
			var err error
			if r.Keys[i].isSet() {
				_, err = r.Keys[i].set(&r.Tokens, dir)
			} else {
				_, err = r.Keys[i].key(env, dir)
			}
			if err != nil {
				f.add("%s: key %d: %v", where, i+1, err)
				named = true
			}
		}
		if !named {
			f.add("%s: %v", where, err)
		}
	}
	if _, err := r.rules(); err != nil {
		named := false
		for i := range r.Rules {
			if _, err := r.Rules[i].rule(); err != nil {
				f.add("%s: rule %d: %v", where, i+1, err)
				named = true
			}
		}
		if !named {
			f.add("%s: %v", where, err)
		}
	}
	for _, o := range r.Bayeux.Origins {
		if err := checkOrigin(o); err != nil {
			f.add("%s: bayeux.origins: %v", where, err)
		}
	}
	for _, o := range r.HTTP.Origins {
		if err := checkOrigin(o); err != nil {
			f.add("%s: http.origins: %v", where, err)
		}
	}
	if err := bayeux.CheckHeaders(r.Bayeux.AllowHeaders); err != nil {
		f.add("%s: bayeux.allow_headers: %v", where, err)
	}
	if err := bayeux.CheckScript(r.Bayeux.clientScript(dir)); err != nil {
		f.add("%s: bayeux.client_script: %v", where, err)
	}
	if _, ok := overflows[r.Bayeux.Overflow]; !ok {
		f.add("%s: bayeux.overflow: %q is neither \"disconnect\" nor \"drop_oldest\"", where, r.Bayeux.Overflow)
	}
	if most := 100; r.Events.MaxChannels > most {
		f.add("%s: events.max_channels: %d is more than an event's id can carry; the limit is %d", where, r.Events.MaxChannels, most)
	}
	if _, err := r.Presence.tracker(); err != nil {
		f.add("%s: presence: %v", where, err)
	}
	for i := range r.XMPP {
		x := &r.XMPP[i]
		where := fmt.Sprintf("%s: xmpp %d (%s)", where, i+1, x.Domain)
		if x.Domain == "" || strings.ContainsAny(x.Domain, "@/ ") {
			f.add("%s: domain: %q is not the domain of a component", where, x.Domain)
		}
		if err := checkAddress(x.Server); err != nil {
			f.add("%s: server: %v", where, err)
		}
		if _, err := x.resolve(env, dir); err != nil {
			f.add("%s: %v", where, err)
		}
		if _, err := x.users(); err != nil {
			f.add("%s: %v", where, err)
		}
		if _, err := x.stanzas(); err != nil {
			f.add("%s: %v", where, err)
		}
		if x.ReconnectMin.Duration > x.ReconnectMax.Duration {
			f.add("%s: reconnect_min is above reconnect_max", where)
		}
		if x.SlowMin.Duration > x.SlowMax.Duration {
			f.add("%s: slow_min is above slow_max", where)
		}
	}
}

// checkOrigin takes what browsers send as Origin.
func checkOrigin(o string) error {
	if o == "*" || o == "null" {
		return nil
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q is not an origin, such as https://app.example, nor \"*\"", o)
	}
	return nil
}

// negatives adds a fault for every number and duration in v that is below zero: none means anything.
func (f *faults) negatives(path string, v reflect.Value) {
	if d, ok := reflect.TypeAssert[duration](v); ok {
		v = reflect.ValueOf(d.Duration)
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		if v.Int() < 0 {
			f.add("%s: must not be negative", path)
		}
	case reflect.Pointer: // where zero is not the default
		if !v.IsNil() {
			f.negatives(path, v.Elem())
		}
	case reflect.Struct:
		for _, field := range reflect.VisibleFields(v.Type()) {
			if key := tomlKey(field); key != "" {
				f.negatives(strings.TrimPrefix(path+"."+key, "."), v.FieldByIndex(field.Index))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			f.negatives(fmt.Sprintf("%s %d", path, i+1), v.Index(i))
		}
	}
}

// checkExposure refuses to be reached from other machines with a realm that has no key. A key made at the start is
// printed on the terminal and gone with the process: good for trying, and being reachable should be decided, with a key
// that somebody keeps. It is asked before keys are made.
func (s *settings) checkExposure(ctx context.Context) error {
	keyless := map[string]bool{}
	for _, r := range s.Realms {
		if r.keyless() {
			keyless[r.ID] = true
		}
	}
	if len(keyless) == 0 || isLoopback(ctx, s.Listen) {
		return nil
	}
	return configErrorf("listen = %q can be reached from other machines, and the realm %s has no key: "+
		"set %s (for the realm %q), or [[realm.key]] or [[realm.api_key]] in the configuration, or listen on 127.0.0.1",
		s.Listen, strings.Join(slices.Sorted(maps.Keys(keyless)), ", "), envRealmKey, defaultRealm)
}
