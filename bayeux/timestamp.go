package bayeux

import "time"

// The timestamp extension: replies say when they were made, events when the message was published. Clients show it to people or
// ignore it; so it is off unless it is asked for, and what clients send of it says nothing here.
//
// Bayeux: "YYYY-MM-DDThh:mm:ss.ss", all times in GMT, and no letter for the zone. CometD's own clients and server write other
// forms, and read none.
const timestampLayout = `,"timestamp":"2006-01-02T15:04:05.00"`

func appendTimestamp(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, timestampLayout) }

// list is where replies are put.
func (h *Handler) list(buf []byte) list { return list{buf, h.opts.Timestamp} }
