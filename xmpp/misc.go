package xmpp

import (
	"context"
	"time"

	"mellium.im/xmpp/version"
	"mellium.im/xmpp/xtime"

	"waft/xmpp/component"
)

// ping is XEP-0199.
func (s *Service) ping(context.Context, *request) error { return nil }

// version is XEP-0092. What it runs on is nobody's business.
func (s *Service) version(_ context.Context, r *request) error {
	r.out = append(r.out, "<query xmlns='"+version.NS+"'><name>"...)
	r.out = append(component.AppendText(r.out, s.opts.Name), "</name><version>"...)
	r.out = append(component.AppendText(r.out, s.opts.Version), "</version></query>"...)
	return nil
}

// time is XEP-0202.
func (s *Service) time(_ context.Context, r *request) error {
	r.out = append(r.out, "<time xmlns='"+xtime.NS+"'><tzo>+00:00</tzo><utc>"...)
	r.out = time.Now().UTC().AppendFormat(r.out, "2006-01-02T15:04:05Z")
	r.out = append(r.out, "</utc></time>"...)
	return nil
}
