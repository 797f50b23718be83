package jwtauth

import (
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// lifetime is when a token counts.
type lifetime struct {
	issued time.Time // zero when the token does not say
	end    time.Time // the effective end: exp plus leeway, within the year 9999
}

// checkLifetime judges exp, which is required, nbf and iat (RFC 7519 sections
// 4.1.4 to 4.1.6). Dates outside 1970 to 9999 are no dates, so that no sum of
// them overflows.
func (p *issuerPolicy) checkLifetime(exp, nbf, iat strictjson.Value, now time.Time) (l lifetime, err error) {
	expires, ok := exp.Date()
	if !ok {
		return l, errExpMissing
	}
	notBefore, ok1 := optionalDate(nbf)
	issued, ok2 := optionalDate(iat)
	if !ok1 || !ok2 {
		return l, errDate
	}
	end := min(expires.Unix()+int64(p.Leeway/time.Second), strictjson.MaxDate)
	l = lifetime{issued, time.Unix(end, 0)}
	if !now.Before(l.end) {
		return l, p.offClock(authctx.TokenExpired, "exp", expires, now)
	}
	if err := p.checkBegin(notBefore, issued, now); err != nil {
		return l, err
	}
	if p.MaxLifetime > 0 && (issued.IsZero() || expires.Sub(issued) > p.MaxLifetime) {
		return l, errLifetime
	}
	return l, nil
}

// checkBegin refuses what is dated ahead; zero dates are absent ones.
func (p *issuerPolicy) checkBegin(notBefore, issued, now time.Time) error {
	latest := now.Add(p.Leeway)
	switch {
	case notBefore.After(latest):
		return p.offClock(authctx.TokenNotYetValid, "nbf", notBefore, now)
	case issued.After(latest):
		return p.offClock(authctx.TokenNotYetValid, "iat", issued, now)
	}
	return nil
}

// offClock refuses a token for one of its dates.
func (p *issuerPolicy) offClock(reason authctx.Reason, claim string, date, now time.Time) error {
	r := &clockRefusal{clock: clockError{claim, date.Sub(now), p.Leeway}}
	r.cause = issuerError{p.Issuer, &r.clock}
	r.refusal = authctx.Error{Reason: reason, Cause: &r.cause}
	return &r.refusal
}

// clockRefusal is one piece of memory, since clients go on sending tokens that
// have expired.
type clockRefusal struct {
	refusal authctx.Error
	cause   issuerError
	clock   clockError
}

// clockError says how far a date is off, by which operators tell a clock that is
// wrong from a token that is old. It is put into words when somebody reads it.
type clockError struct {
	claim         string
	ahead, leeway time.Duration
}

func (e *clockError) Error() string {
	if e.ahead > 0 {
		return fmt.Sprintf("jwtauth: %s is %v ahead of this clock, leeway %v", e.claim, e.ahead.Round(time.Second), e.leeway)
	}
	return fmt.Sprintf("jwtauth: %s was %v ago, leeway %v", e.claim, (-e.ahead).Round(time.Second), e.leeway)
}

// optionalDate returns the zero time for what is absent; false for what is no
// date.
func optionalDate(v strictjson.Value) (time.Time, bool) {
	if v.Kind() == strictjson.Missing {
		return time.Time{}, true
	}
	return v.Date()
}
