package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"waft/broker"
)

// checkSetURL takes https, and http to this very machine: whoever can change a set on its way can sign every token.
func checkSetURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, broker.Errorf(broker.Invalid, "%s is not the address of a JWK set, such as https://id.example/jwks.json", broker.Quote(text))
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, broker.Errorf(broker.Invalid, "the address of a JWK set begins with https, and %s does not", broker.Quote(text))
	}
	return u, nil
}

// newSetClient makes a client that follows redirects within the set's own host only. It keeps no connection: an hour is
// longer than any lasts.
func newSetClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		switch from := via[0].URL; {
		case len(via) > 3:
			return errors.New("more than 3 redirects")
		case to.URL.Host != from.Host || to.URL.Scheme != from.Scheme:
			return errors.New("it redirects to another host or scheme")
		default:
			return nil
		}
	}}
}

// fetch gets the text of the set.
func (s *keySet) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.o.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	r.Header.Set("User-Agent", "waft")
	response, err := s.client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address, whose query may be nobody's business
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", strings.TrimSpace(response.Status))
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, int64(s.o.MaxBody)+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > s.o.MaxBody:
		return nil, fmt.Errorf("the answer has more than %d bytes", s.o.MaxBody)
	default:
		return text, nil
	}
}
