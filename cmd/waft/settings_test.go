package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goodKey is 32 bytes in base64.
const goodKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// writeConfig writes a configuration file and gives its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "waft.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadText loads a configuration file with the given text.
func loadText(t *testing.T, text string, env environment) (*settings, error) {
	t.Helper()
	return load(overrides{config: writeConfig(t, text)}, env)
}

func TestLoad_nothing_configured_has_the_documented_defaults(t *testing.T) {
	s, err := load(overrides{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != "127.0.0.1:8080" || s.AdminListen != "127.0.0.1:8081" || s.LogFormat != "text" || s.LogLevel != "info" {
		t.Errorf("listen %s, admin %s, log %s %s", s.Listen, s.AdminListen, s.LogFormat, s.LogLevel)
	}
	if len(s.Realms) != 1 || s.Realms[0].ID != "default" || len(s.Realms[0].Keys) != 0 {
		t.Errorf("realms %+v, want the one called default, without a key", s.Realms)
	}
	if got := s.HTTP.IdleTimeout.Duration; got < 75*time.Second {
		t.Errorf("idle timeout %v, shorter than clients keep a connection", got)
	}
}

func TestLoad_flags_beat_environment_beats_file_beats_defaults(t *testing.T) {
	file := writeConfig(t, "listen = '127.0.0.1:1'\nadmin_listen = '127.0.0.1:2'")
	other := writeConfig(t, "listen = '127.0.0.1:9'")
	env := environment{"WAFT_CONFIG": other, "WAFT_LISTEN": "127.0.0.1:3"}
	for _, c := range []struct {
		name          string
		flags         overrides
		env           environment
		listen, admin string
	}{
		{"file_over_default", overrides{config: file}, nil, "127.0.0.1:1", "127.0.0.1:2"},
		{"file_of_the_environment", overrides{}, environment{"WAFT_CONFIG": other}, "127.0.0.1:9", "127.0.0.1:8081"},
		{"environment_over_file", overrides{}, env, "127.0.0.1:3", "127.0.0.1:8081"},
		{"flag_over_environment", overrides{config: file, listen: "127.0.0.1:4"}, env, "127.0.0.1:4", "127.0.0.1:2"},
		{"admin_environment_over_file", overrides{config: file}, environment{"WAFT_ADMIN_LISTEN": "127.0.0.1:5"}, "127.0.0.1:1", "127.0.0.1:5"},
		{"admin_flag_over_environment", overrides{adminListen: "127.0.0.1:6"}, environment{"WAFT_ADMIN_LISTEN": "127.0.0.1:5"}, "127.0.0.1:8080", "127.0.0.1:6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := load(c.flags, c.env)
			if err != nil {
				t.Fatal(err)
			}
			if s.Listen != c.listen || s.AdminListen != c.admin {
				t.Errorf("listen %s and %s, want %s and %s", s.Listen, s.AdminListen, c.listen, c.admin)
			}
		})
	}
}

func TestLoad_what_is_written_wrongly_is_named(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a_misspelt_key", "lisen = 'x'", "waft.toml:1: there is no key lisen; did you mean listen?"},
		{"a_misspelt_key_in_a_table", "\n[[realm]]\nid = 'a'\n[realm.bayeux]\ntimeuot = '1s'", "waft.toml:5: there is no key realm.bayeux.timeuot; did you mean timeout?"},
		{"a_misspelt_table", "[[realms]]\nid = 'a'", "there is no key realms; did you mean realm?"},
		{"a_key_of_another_table", "max_sessions = 1", "there is no key max_sessions; there is realm.limits.max_sessions"},
		{"a_key_like_no_other", "frobnicate = 1", "there is no key frobnicate\n"},
		{"every_unknown_key_at_once", "lisen = 'x'\ndrian = '1s'", "waft.toml:2: there is no key drian; did you mean drain?"},
		{"a_number_for_a_duration", "drain = 10", `waft.toml: 10 is not a duration; write it in quotes and with a unit, such as "30s"`},
		{"a_text_that_is_no_duration", "drain = 'soon'", `waft.toml:1: drain must be a duration in quotes`},
		{"a_text_for_a_number", "[publish]\nmax_body = '1MB'", "waft.toml:2: publish.max_body must be a whole number"},
		{"a_text_for_a_list", "[[realm]]\nid = 'a'\nhosts = 'b'", "realm.hosts must be a list of texts"},
		{"a_number_for_a_text", "listen = 8080", "listen must be a text in quotes"},
		{"a_text_for_a_switch", "[[realm]]\nid='a'\n[[realm.key]]\nmanage = 'yes'", "realm.key.manage must be true or false"},
		{"a_value_for_a_table", "http = 1", "http must be a table: [http]"},
		{"toml_that_is_none", "listen = \n", "waft.toml:1: "},
		{"a_key_twice", "listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'", "waft.toml:2: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(t, c.text, nil)
			wantConfigError(t, err, c.want)
		})
	}
}

func TestLoad_a_missing_file_is_named(t *testing.T) {
	_, err := load(overrides{config: filepath.Join(t.TempDir(), "nowhere.toml")}, nil)
	wantConfigError(t, err, "nowhere.toml")
}

func wantConfigError(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[*configError](err); !ok {
		t.Fatalf("error %v, want one for exit code 2 with %q", err, want)
	}
	if !strings.Contains(err.Error()+"\n", want) {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

func TestLoad_what_makes_no_sense_is_named(t *testing.T) {
	realm := "[[realm]]\nid = 'a'\n"
	key := "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	link := realm + "[[realm.xmpp]]\ndomain = 'waft.example'\nserver = '127.0.0.1:5347'\nsecret = 's'\n"
	for _, c := range []struct{ name, text, want string }{
		{"an_address_without_a_port", "listen = '127.0.0.1'", `listen: "127.0.0.1" is not an address`},
		{"an_address_with_a_bad_port", "admin_listen = '127.0.0.1:99999'", `admin_listen: "99999" is not a port`},
		{"one_address_for_both_listeners", "listen = '127.0.0.1:8081'", "admin_listen: 127.0.0.1:8081 is the address of listen"},
		{"a_log_format", "log_format = 'xml'", `log_format: "xml" is neither`},
		{"a_log_level", "log_level = 'loud'", `log_level: "loud" is none of`},
		{"an_idle_timeout_that_loses_requests", "[http]\nidle_timeout = '60s'", "http.idle_timeout: 1m is less than 1m15s"},
		{"a_negative_duration", "drain = '-1s'", "drain: must not be negative"},
		{"a_negative_number_deep_inside", realm + "[realm.bayeux]\nmax_body = -1", "realm 1.bayeux.max_body: must not be negative"},
		{"a_realm_without_an_id", "[[realm]]\nhosts = []", "realm 1 (): a realm's id has 1 to 63 characters"},
		{"a_realm_with_a_bad_id", "[[realm]]\nid = 'A'", "realm 1 (A): the realm's id"},
		{"two_realms_with_one_id", realm + realm, "realm 2 (a): another realm has this id"},
		{"a_host_that_is_a_url", realm + "hosts = ['https://a.example']", "is not a host name"},
		{"a_host_of_two_realms", realm + "hosts = ['a.example']\n[[realm]]\nid = 'b'\nhosts = ['A.example']", "hosts: a.example belongs to realm a"},
		{"a_key_without_a_secret", realm + "[[realm.key]]\nid = 'k'", "realm 1 (a): key 1: no secret: set one of"},
		{"a_key_with_two_secrets", realm + key + "secret_env = 'X'", "key 1: more than one secret"},
		{"a_secret_of_a_variable_that_is_not_set", realm + "[[realm.key]]\nsecret_env = 'NOBODY'", "key 1: secret_env: the environment has no NOBODY"},
		{"a_secret_of_a_file_that_is_not_there", realm + "[[realm.key]]\nsecret_file = 'nowhere'", "key 1: secret_file: open"},
		{"a_secret_that_is_not_base64", realm + "[[realm.key]]\nsecret = 'hello, world!'", "key 1: the key"},
		{"a_secret_that_is_too_short", realm + "[[realm.key]]\nsecret = 'aGVsbG8='", "key 1: the key has 5 bytes"},
		{"an_algorithm", realm + key + "alg = 'none'", "realm 1 (a): "},
		{"a_pattern_of_a_key", realm + key + "publish = ['/a/**/b']", "key 1: publish: "},
		{"a_rule_without_a_pattern", realm + "[[realm.rule]]\npublish = 'token'", "rule 1: match: "},
		{"a_word_of_a_rule", realm + "[[realm.rule]]\nmatch = '/**'\npublish = 'everyone'", "rule 1: publish: "},
		{"a_rule_that_is_never_reached", realm + "[[realm.rule]]\nmatch = '/**'\n[[realm.rule]]\nmatch = '/a'", "rule 2"},
		{"a_negative_history", realm + "[[realm.rule]]\nmatch = '/**'\nhistory = { size = -1 }", "history.size: must not be negative"},
		{"an_origin", realm + "[realm.bayeux]\norigins = ['app.example']", `bayeux.origins: "app.example" is not an origin`},
		{"a_header_field", realm + "[realm.bayeux]\nallow_headers = ['X-A\tb']", "bayeux.allow_headers: "},
		{"a_script_that_is_not_there", realm + "[realm.bayeux]\nclient_script = 'nowhere.js'", "bayeux.client_script: "},
		{"a_limit_of_an_address", realm + "[realm.bayeux]\nmessages_per_address = -1", "bayeux.messages_per_address: must not be negative"},
		{"more_channels_than_an_id_carries", realm + "[realm.events]\nmax_channels = 101", "events.max_channels: 101 is more than"},
		{"a_proxy_that_is_no_address", "trusted_proxies = ['proxy.example']", `trusted_proxies: "proxy.example" is neither an address`},
		{"a_proxy_range_of_too_many_bits", "trusted_proxies = ['10.0.0.0/33']", `trusted_proxies: "10.0.0.0/33" is neither`},
		{"a_proxy_range_of_everybody", "trusted_proxies = ['0.0.0.0/0']", `trusted_proxies: "0.0.0.0/0" is every address`},
		{"a_proxy_range_in_the_wrong_family", "trusted_proxies = ['::ffff:10.0.0.0/104']", "write it as IPv4"},
		{"an_overflow", realm + "[realm.bayeux]\noverflow = 'wait'", `bayeux.overflow: "wait" is neither`},
		{"a_link_without_a_domain", realm + "[[realm.xmpp]]\nserver = '127.0.0.1:1'\nsecret = 's'", `domain: "" is not the domain`},
		{"a_link_without_a_server", realm + "[[realm.xmpp]]\ndomain = 'a.b'\nsecret = 's'", `server: "" is not an address`},
		{"a_link_without_a_secret", realm + "[[realm.xmpp]]\ndomain = 'a.b'\nserver = '127.0.0.1:1'", "xmpp 1 (a.b): no secret"},
		{"two_links_of_one_domain", link + strings.TrimPrefix(link, realm), "two links have the domain waft.example"},
		{"a_user_that_is_no_jid", link + "[[realm.xmpp.user]]\nmatch = 'a@b/c'", "user 1"},
		{"a_pattern_of_a_user", link + "[[realm.xmpp.user]]\nmatch = '*'\npublish = ['nope']", "user 1: publish: "},
		{"a_reconnect_range", link + "reconnect_min = '2m'\nreconnect_max = '1m'", "reconnect_min is above reconnect_max"},
		{"a_slow_range", link + "slow_min = '2m'\nslow_max = '1m'", "slow_min is above slow_max"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(t, c.text, nil)
			wantConfigError(t, err, c.want)
		})
	}
}

func TestLoad_every_fault_is_told_at_once(t *testing.T) {
	_, err := loadText(t, "listen = 'x'\nlog_level = 'loud'\n[[realm]]\nid = 'a'\n[[realm.key]]\nsecret = 'x'\n[[realm.key]]\n"+
		"[[realm.rule]]\nmatch = 'x'\n[[realm.rule]]\nmatch = 'y'", nil)
	for _, want := range []string{"listen:", "log_level:", "key 1:", "key 2:", "rule 1:", "rule 2:"} {
		wantConfigError(t, err, want)
	}
}

func TestLoad_a_range_may_be_given_by_its_lower_end_alone(t *testing.T) {
	s, err := loadText(t, "[[realm]]\nid = 'a'\n[[realm.xmpp]]\ndomain = 'a.b'\nserver = '127.0.0.1:1'\nsecret = 's'\nreconnect_min = '1m'\nslow_min = '2m'", nil)
	if err != nil {
		t.Fatal(err)
	}
	if x := s.Realms[0].XMPP[0]; x.ReconnectMax.Duration != time.Minute || x.SlowMax.Duration != 2*time.Minute {
		t.Errorf("reconnect_max %v, slow_max %v", x.ReconnectMax, x.SlowMax)
	}
}

func TestLoad_absent_and_empty_rights_of_a_key_differ(t *testing.T) {
	s, err := loadText(t, "[[realm]]\nid = 'a'\n[[realm.key]]\nsecret = '"+goodKey+"'\nsubscribe = []\nmanage = false", nil)
	if err != nil {
		t.Fatal(err)
	}
	k := s.Realms[0].Keys[0]
	if len(k.Publish) != 1 || k.Publish[0] != "/**" || len(k.Subscribe) != 0 || len(k.Read) != 1 || *k.Manage {
		t.Errorf("publish %v, subscribe %v, read %v, manage %v", k.Publish, k.Subscribe, k.Read, *k.Manage)
	}
}

func TestLoad_secrets_come_from_the_variable_or_the_file_that_is_named(t *testing.T) {
	path := writeConfig(t, "[[realm]]\nid = 'a'\n[[realm.key]]\nsecret_env = 'WAFT_MAIN'\n[[realm.key]]\nid = 'f'\nsecret_file = 'key'")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "key"), []byte(goodKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment{"WAFT_MAIN": goodKey}
	s, err := load(overrides{config: path}, env)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Realms[0].keys(env, s.dir)
	if err != nil || len(keys) != 2 || string(keys[0].Secret) != string(keys[1].Secret) || len(keys[0].Secret) != 32 {
		t.Errorf("keys %v, error %v", keys, err)
	}
}

func TestLoad_WAFT_REALM_KEY_is_the_key_of_the_default_realm(t *testing.T) {
	env := environment{"WAFT_REALM_KEY": goodKey}
	one := "[[realm.key]]\nid = 'k'\nsecret = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'\npublish = ['/a/**']\n"
	for _, c := range []struct{ name, text, publish, fault string }{
		{"without_a_file", "", "/**", ""},
		{"in_a_realm_without_a_key", "[[realm]]\nid = 'default'", "/**", ""},
		{"in_place_of_the_only_key_with_its_rights", "[[realm]]\nid = 'default'\n" + one, "/a/**", ""},
		{"not_in_place_of_one_of_two", "[[realm]]\nid = 'default'\n" + one + one, "", "which one does it replace?"},
		{"not_without_the_realm", "[[realm]]\nid = 'other'", "", "does not have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := loadText(t, c.text, env)
			if c.fault != "" {
				wantConfigError(t, err, c.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			k := s.Realms[0].Keys[0]
			if k.Secret.reveal() != goodKey || k.Publish[0] != c.publish {
				t.Errorf("key %q, publish %v", k.Secret.reveal(), k.Publish)
			}
		})
	}
	_, err := load(overrides{}, environment{"WAFT_REALM_KEY": "not a key!"})
	wantConfigError(t, err, "key 1: ")
}

func TestLoad_variables_that_look_like_ours_and_are_not_are_refused(t *testing.T) {
	_, err := load(overrides{}, environment{"WAFT_RELAM_KEY": goodKey, "WAFT_X": "1", "PATH": "/bin"})
	wantConfigError(t, err, "WAFT_RELAM_KEY is not one of waft's; did you mean WAFT_REALM_KEY?")
	wantConfigError(t, err, "WAFT_X is not one of waft's\n")
	kubernetes := environment{"WAFT_PORT": "tcp://10.0.0.1:80", "WAFT_SERVICE_HOST": "10.0.0.1", "WAFT_PORT_80_TCP": "tcp://10.0.0.1:80"}
	if _, err := load(overrides{}, kubernetes); err != nil {
		t.Errorf("what Kubernetes sets for a service called waft was refused: %v", err)
	}
	if _, err := load(overrides{}, environment{"WAFT_TOKEN": "x", "WAFT_SERVER": "y"}); err != nil {
		t.Errorf("the variables of the client commands were refused: %v", err)
	}
}
