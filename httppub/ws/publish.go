package ws

import "waft/broker"

// publish publishes, and answers with the receipt. An id names the item in its channel, and makes repeating safe, as over HTTP.
func (s *socket) publish(f *frame) {
	m := &broker.Message{ID: f.id, Channel: f.channel, Data: f.data}
	r, err := s.h.broker.Publish(s.life, s.principal(), m, broker.PublishOptions{IdempotencyKey: f.id, Replace: f.id != ""})
	if err != nil {
		s.fail(f, err)
		return
	}
	s.prove()
	s.h.counters.published.Add(1)
	s.tell(&answer{Type: "published", Ref: f.ref, Channel: f.channel, ID: r.ID, Position: r.Position.String(), Duplicate: r.Duplicate})
}
