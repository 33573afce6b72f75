//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// present is the fleet, without those who acknowledge as long as this waft does not offer that: it would not answer ext.ack.
func present(t *testing.T, w *waft) []bayeuxClient {
	t.Helper()
	var replies []struct {
		ClientID string `json:"clientId"`
		Ext      struct{ Ack any }
	}
	ask := func(message string) error {
		resp, err := http.Post(w.url+"/bayeux", "application/json", strings.NewReader(message))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&replies)
	}
	err := ask(`{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"ack":true}}`)
	if err != nil || len(replies) != 1 {
		t.Fatalf("handshake: %v %v", replies, err)
	}
	offered := replies[0].Ext.Ack != nil
	if err := ask(fmt.Sprintf(`{"channel":"/meta/disconnect","clientId":%q}`, replies[0].ClientID)); err != nil {
		t.Fatal(err)
	}
	if offered {
		return fleet
	}
	return slices.DeleteFunc(slices.Clone(fleet), func(c bayeuxClient) bool { return c.ack })
}
