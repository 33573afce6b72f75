// Package brokertest is the contract of the broker's plug-in points in executable form, and helpers for the tests of
// adapters. RunEngine and RunStore are run by every engine unchanged, RunDurable by those that outlive the process; New gives an adapter's test a broker whose
// authorizer is a function.
package brokertest
