// Package uncarried is how a proxy says that a request stayed here because its
// caller could not be written for the next service. That is this program's own
// failure: neither the caller's credentials nor the next service are to blame,
// and trying again does not help.
package uncarried

// Detail is what a client is told.
const Detail = "the caller could not be carried on"

// Error is a failure to write a caller that has no reason of its own.
type Error struct{ Cause error }

// Error returns the cause, for operators.
func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
