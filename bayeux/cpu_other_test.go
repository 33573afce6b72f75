//go:build !unix

package bayeux

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
