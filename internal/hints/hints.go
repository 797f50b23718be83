// Package hints says what a refusal may tell a client of how to do better, the
// same over every transport.
package hints

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grammar"
)

// Hints are printable ASCII without quotes; those that are empty are not given.
type Hints struct {
	Scopes    string // separated by spaces
	ACRValues string // separated by spaces, in order of preference
	MaxAge    string // seconds
}

// Of returns what err tells besides its reason. Only some reasons have hints
// (RFC 6750 section 3.1, RFC 9470 section 3).
func Of(err error) Hints {
	e, ok := errors.AsType[*authctx.Error](err)
	if !ok || e == nil {
		return Hints{}
	}
	switch e.Reason {
	case authctx.InsufficientScope:
		return Hints{Scopes: join(e.Scopes)}
	case authctx.InsufficientAuthentication:
		h := Hints{Scopes: join(e.Scopes), ACRValues: join(e.ACRValues)}
		if e.MaxAge != nil {
			h.MaxAge = strconv.FormatInt(max(0, int64(*e.MaxAge/time.Second)), 10)
		}
		return h
	}
	return Hints{}
}

// join joins what may stand in a scope parameter (RFC 6750 section 3) and leaves
// out what may not.
func join(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		if !grammar.IsScopeToken(token) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(token)
	}
	return b.String()
}
