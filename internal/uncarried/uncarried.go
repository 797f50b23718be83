// Package uncarried is how a proxy says that a request stayed here because it, or
// its caller, could not be written for the next service. Neither the caller's
// credentials nor the next service are to blame, and trying again does not help.
package uncarried

// What a client is told of an Error and of a TooLarge.
const (
	Detail         = "the caller could not be carried on"
	TooLargeDetail = "the header of the request is larger than the next service takes"
)

// Error is a failure to write a caller that has no reason of its own: this
// program's own failure.
type Error struct{ Cause error }

// Error returns the cause, for operators.
func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// TooLarge is a request of which the next service has said that it does not take
// as much header, counting what says who is calling.
type TooLarge struct{ Cause error }

// Error returns the cause, for operators.
func (e *TooLarge) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *TooLarge) Unwrap() error { return e.Cause }
