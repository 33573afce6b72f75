// Command floor is what no broker can be faster than without doing less: for every message posted to it, it writes one and the
// same WebSocket frame to every subscriber, one system call each, on one goroutine. It has no channels, no queues, no limits, and
// nobody to wait for: whoever does not read ends it. `make bench-peers` measures the others by it.
//
//	floor ADDRESS      any GET that upgrades subscribes, any POST publishes its body
package main
