// Package uncarried is how a proxy says that a request stayed here because it, or
// its caller, could not be written for the next service. Neither the caller's
// credentials nor the next service are to blame, and trying again does not help.
package uncarried

// What a client is told of an Error.
const (
	Detail         = "the caller could not be carried on"
	TooLargeDetail = "the header of the request is larger than the next service takes"
)

// Error is a failure to write a request or its caller, without a reason of authctx.
type Error struct {
	Cause error

	// TooLarge says that the next service does not take as much header, counting what
	// says who is calling. Anything else is this program's own failure.
	TooLarge bool
}

// Error returns the cause, for operators.
func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Detail returns what a client is told.
func (e *Error) Detail() string {
	if e.TooLarge {
		return TooLargeDetail
	}
	return Detail
}
