package authctx

import (
	"cmp"
	"errors"
	"log/slog"
	"time"
)

// Reason says why a caller was not let through. The set is closed: every
// refusal by this module has exactly one of these, and each has one answer in
// HTTP and one in gRPC.
//
// A Reason is an error, so it is what [errors.Is] matches:
//
//	if errors.Is(err, authctx.Unavailable) { … }
//
// Every reason that blames the token also matches [InvalidToken]. The zero
// Reason is not a reason; [ReasonOf] returns it for a nil error only.
type Reason uint8

const (
	// NoCredentials: the request carries no credentials that anybody here reads.
	NoCredentials Reason = iota + 1
	// InvalidRequest: the credentials are malformed, doubled, of two kinds at
	// once or half written, so that they could be read in more than one way.
	InvalidRequest
	// InvalidToken: the token is not acceptable. The reasons down to WrongType
	// are finer forms of it, for operators; callers are told less, see
	// [Reason.Public].
	InvalidToken
	// TokenExpired: the credential's effective end has passed.
	TokenExpired
	// TokenNotYetValid: "nbf" or "iat" lies in the future.
	TokenNotYetValid
	// TokenRevoked: the credential was good and has been withdrawn.
	TokenRevoked
	// BadSignature: the signature does not belong to the token and the key.
	BadSignature
	// UnknownKey: the issuer is known to publish no such key.
	UnknownKey
	// WrongIssuer: the token's issuer is not one that is trusted here.
	WrongIssuer
	// WrongAudience: the token was issued for somebody else.
	WrongAudience
	// WrongType: a token of another kind, such as an ID token where an access
	// token belongs (RFC 8725 section 3.11).
	WrongType
	// InvalidProof: a DPoP proof is missing or does not hold (RFC 9449).
	InvalidProof
	// NonceRequired: a DPoP proof must be made again with the server's nonce
	// (RFC 9449 section 9).
	NonceRequired
	// InsufficientAuthentication: the caller must log in again or more strongly
	// (RFC 9470).
	InsufficientAuthentication
	// InsufficientScope: the token lacks a scope (RFC 6750 section 3.1).
	InsufficientScope
	// PermissionDenied: a rule said no, or no rule was written.
	PermissionDenied
	// Unavailable: nobody could tell, because keys, an introspection endpoint or
	// whatever else must be asked is out of reach. It never means that the token is bad.
	Unavailable

	reasonEnd
)

// reasonText has, for each Reason: its label, what an operator reads, and what
// a caller may be told.
var reasonText = [reasonEnd]struct{ label, text, public string }{
	NoCredentials:              {"no_credentials", "no credentials", "Authentication is required."},
	InvalidRequest:             {"invalid_request", "malformed or ambiguous credentials", "The credentials are malformed or ambiguous."},
	InvalidToken:               {"invalid_token", "invalid token", "The access token is not valid."},
	TokenExpired:               {"token_expired", "token expired", "The access token has expired."},
	TokenNotYetValid:           {"token_not_yet_valid", "token not yet valid", ""},
	TokenRevoked:               {"token_revoked", "token revoked", "The access token has been revoked."},
	BadSignature:               {"bad_signature", "signature does not verify", ""},
	UnknownKey:                 {"unknown_key", "unknown signing key", ""},
	WrongIssuer:                {"wrong_issuer", "issuer not trusted", ""},
	WrongAudience:              {"wrong_audience", "audience is somebody else", ""},
	WrongType:                  {"wrong_type", "token of another kind", ""},
	InvalidProof:               {"invalid_proof", "invalid proof of possession", "The DPoP proof is not valid."},
	NonceRequired:              {"nonce_required", "proof of possession needs a nonce", "The DPoP proof must use the given nonce."},
	InsufficientAuthentication: {"insufficient_authentication", "stronger or fresher login needed", "A stronger or more recent login is required."},
	InsufficientScope:          {"insufficient_scope", "scope missing", "The access token lacks a required scope."},
	PermissionDenied:           {"permission_denied", "permission denied", "The caller may not do this."},
	Unavailable:                {"unavailable", "credentials could not be checked", "The credentials cannot be checked at the moment."},
}

// Reasons returns every reason, in declaration order. The slice is the
// caller's.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonEnd-1)
	for r := NoCredentials; r < reasonEnd; r++ {
		all = append(all, r)
	}
	return all
}

// Error implements error.
func (r Reason) Error() string {
	if r == 0 {
		return "authctx: no reason"
	}
	return "authctx: " + reasonText[r.known()].text
}

// String returns a stable label in snake case, fit for a metric; empty for the
// zero Reason. The verbs of fmt print Error instead, since a Reason is an error.
func (r Reason) String() string {
	if r == 0 {
		return ""
	}
	return reasonText[r.known()].label
}

// MarshalText returns String, for JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LogValue implements [slog.LogValuer] with String.
func (r Reason) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Is makes the finer reasons match [InvalidToken].
func (r Reason) Is(target error) bool {
	t, ok := target.(Reason)
	return ok && (r == t || t == InvalidToken && r.blamesToken())
}

// Public returns the reason that a caller may be told: r itself, except that
// the ways in which a token can be wrong become one, because telling them apart
// helps only somebody who is trying tokens out. Expiry and revocation stay, for
// they tell an honest client what to do next.
func (r Reason) Public() Reason {
	if reasonText[r.known()].public == "" {
		return InvalidToken
	}
	return r.known()
}

// Description returns one English sentence for the caller. It is fixed per
// reason and holds nothing of the request.
func (r Reason) Description() string { return reasonText[r.Public()].public }

func (r Reason) blamesToken() bool { return r >= InvalidToken && r <= WrongType }

// known maps what is not a reason to Unavailable: then nothing was checked.
func (r Reason) known() Reason {
	if r == 0 || r >= reasonEnd {
		return Unavailable
	}
	return r
}

// Error is a refusal: a [Reason] for the caller and a cause for the operator.
// It is not changed after it was returned. A nil *Error in an error interface,
// whose author may have meant success, is a refusal like the zero Error.
type Error struct {
	// Reason is what the caller learns, see [Reason.Public]. The zero Reason counts
	// as PermissionDenied where a [Rule] returns it, and as Unavailable elsewhere.
	Reason Reason
	// NotMine says of an InvalidToken that it may be for another authenticator, which
	// reads the same field: [OneOf] asks the others, and this is its answer if none of
	// them takes it for its own.
	NotMine bool
	// Cause is for operators and logs; it may be nil. It must not contain a token or
	// another secret. The servers of this module never send it to a caller, but other
	// code may send the text of the error, which contains it, see [Authorize].
	Cause error

	// Scopes are the scopes that would have sufficed (InsufficientScope), or that are
	// needed beside the login (InsufficientAuthentication, RFC 9470 section 3).
	Scopes []string
	// ACRValues are acceptable authentication contexts in order of preference
	// (InsufficientAuthentication, RFC 9470 section 3).
	ACRValues []string
	// MaxAge is the longest acceptable time since the last login; nil asks for
	// none (InsufficientAuthentication, RFC 9470 section 3).
	MaxAge *time.Duration
	// RetryAfter says when asking again may help; zero leaves the choice to
	// the transport (Unavailable). Over gRPC it is not sent.
	RetryAfter time.Duration
}

// Error returns reason and cause, for operators and not for the caller, see
// [Authorize].
func (e *Error) Error() string {
	if e == nil {
		return Unavailable.Error()
	}
	if e.Cause == nil {
		return e.Reason.known().Error()
	}
	return e.Reason.known().Error() + ": " + e.Cause.Error()
}

// Is matches the reason (see [Reason.Is]) and the chain of the cause. A reason
// inside the cause does not count: one refusal has one reason, so that a token
// that is both forged and expired never passes for merely expired.
func (e *Error) Is(target error) bool {
	if e == nil {
		e = new(Error)
	}
	if r, ok := target.(Reason); ok {
		return e.Reason.known().Is(r)
	}
	return e.Cause != nil && errors.Is(e.Cause, target)
}

// As finds errors in the chain of the cause, and the reason itself.
func (e *Error) As(target any) bool {
	if e == nil {
		e = new(Error)
	}
	if r, ok := target.(*Reason); ok {
		*r = e.Reason.known()
		return true
	}
	return e.Cause != nil && errors.As(e.Cause, target)
}

// ReasonOf returns the reason of err: zero for nil, and [Unavailable] for an
// error that names no reason, because an authenticator that fails without
// saying why has not checked anything.
//
// If err joins errors of several reasons, as [errors.Join] does, the result is
// Unavailable if that is among them, otherwise the first that is not [NoCredentials], and
// NoCredentials only if there is no other. An error without a reason that is joined with
// one that has a reason counts as a detail of that one. So an error that means that
// somebody could not tell must itself be Unavailable.
func ReasonOf(err error) Reason {
	if err == nil {
		return 0
	}
	return counting(err, Unavailable).reason
}

// withReason returns err as it is if one reason is all that it can match, and
// otherwise a refusal for the reason that counts, with err as its cause.
func withReason(err error, otherwise Reason) error {
	c := counting(err, otherwise)
	if c.only {
		return err
	}
	refusal := c.refusal()
	if _, ok := err.(*Error); !ok {
		refusal.Cause = err
	}
	return &refusal
}

// count finds the reason that counts, see [ReasonOf], in everything that an error
// wraps. The cause of an Error is not wrapped: one refusal has one reason.
type count struct {
	otherwise Reason // of an error that names none, and of an Error without one
	reason    Reason // the one that counts; zero before one is found
	said      *Error // by whom; nil where a Reason stands alone
	only      bool   // the error can match no other
}

func counting(err error, otherwise Reason) count {
	c := count{otherwise: otherwise, only: true}
	c.walk(err)
	if c.reason == 0 {
		c.reason, c.only = otherwise, false
	}
	return c
}

// refusal returns a copy of the Error that counts.
func (c *count) refusal() (e Error) {
	if c.said != nil {
		e = *c.said
	}
	e.Reason = c.reason
	return e
}

func (c *count) walk(err error) {
	switch e := err.(type) {
	case *Error:
		if e == nil {
			e = new(Error)
		}
		c.add(e.Reason, e)
		return
	case Reason:
		c.add(e, nil)
		return
	}
	c.ask(err)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		c.walk(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			c.walk(inner)
		}
	}
}

// ask adds what an error of another type says by its own As and Is, to which
// [errors.As] and [errors.Is] would listen. Is alone makes nobody [NoCredentials],
// which may pass.
func (c *count) ask(err error) {
	if e, ok := err.(interface{ As(any) bool }); ok {
		c.only = false
		var own *Error
		var reason Reason
		named := e.As(&reason)
		if e.As(&own) && own != nil && (!named || own.Reason == reason) { // not what it has for its cause
			c.add(own.Reason, own)
		} else if named {
			c.add(reason, nil)
		}
	}
	if e, ok := err.(interface{ Is(error) bool }); ok {
		c.only = false
		for r := Unavailable; r > NoCredentials; r-- { // a finer one before InvalidToken
			if e.Is(r) {
				c.add(r, nil)
				break
			}
		}
	}
}

func (c *count) add(r Reason, said *Error) {
	if r == 0 || r >= reasonEnd {
		r, c.only = c.otherwise, false
	}
	before := c.reason
	if r == before {
		c.said = cmp.Or(c.said, said) // a Reason alone says no more
		return
	}
	if before == 0 || before == NoCredentials || r == Unavailable {
		c.reason, c.said = r, said
	}
	c.only = c.only && before == 0
}
