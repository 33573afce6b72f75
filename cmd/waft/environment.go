package main

import (
	"fmt"
	"slices"
	"strings"
)

// environment is the process's environment.
type environment map[string]string

func parseEnvironment(list []string) environment {
	env := environment{}
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// The variables that waft reads.
const (
	envConfig      = "WAFT_CONFIG"
	envListen      = "WAFT_LISTEN"
	envAdminListen = "WAFT_ADMIN_LISTEN"
	envData        = "WAFT_DATA"
	envRealmKey    = "WAFT_REALM_KEY"
	envToken       = "WAFT_TOKEN"
	envServer      = "WAFT_SERVER" // of the client commands

	// Of check.
	envExpiredToken = "WAFT_EXPIRED_TOKEN" //nolint:gosec // G101: a variable's name
	envOtherToken   = "WAFT_OTHER_TOKEN"   //nolint:gosec // G101: likewise
)

var envNames = []string{envConfig, envListen, envAdminListen, envData, envRealmKey, envToken, envServer, envExpiredToken, envOtherToken}

// check refuses variables that look like waft's and are not: a misspelt WAFT_REALM_KEY must not pass for an absent
// one. named are those that the configuration file refers to.
func (env environment) check(named []string) error {
	var faults faults
	for name := range env {
		switch {
		case !strings.HasPrefix(name, "WAFT_"), slices.Contains(envNames, name), slices.Contains(named, name):
		case strings.HasPrefix(name, "WAFT_SERVICE_"), name == "WAFT_PORT", strings.HasPrefix(name, "WAFT_PORT_"):
			// Kubernetes gives every pod such variables for a Service called waft.
		default:
			faults.add("the environment variable %s is not one of waft's%s", name, didYouMean(name, envNames))
		}
	}
	slices.Sort(faults)
	return faults.err()
}

// faults collects everything that is wrong, so that it can be mended in one go.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// err is nil when there are none, else an error with one line for each.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &configError{strings.Join(f, "\n")}
}

// configError says that waft was asked for something it cannot do: exit code 2.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

func configErrorf(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}
