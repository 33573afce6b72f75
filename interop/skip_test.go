//go:build !interop

package interop

import "testing"

func TestInterop(t *testing.T) {
	t.Skip("waft is not tried against other people's software: run `make interop`, or " +
		"`go test -tags interop ./interop/...` with the peers that doc.go names")
}
