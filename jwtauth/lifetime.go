package jwtauth

import (
	"time"

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
func (p *issuerPolicy) checkLifetime(doc *strictjson.Doc, now time.Time) (l lifetime, err error) {
	exp, ok := doc.Get("exp").Date()
	if !ok {
		return l, errExpMissing
	}
	notBefore, ok1 := optionalDate(doc.Get("nbf"))
	issued, ok2 := optionalDate(doc.Get("iat"))
	if !ok1 || !ok2 {
		return l, errDate
	}
	end := min(exp.Unix()+int64(p.Leeway/time.Second), strictjson.MaxDate)
	l = lifetime{issued, time.Unix(end, 0)}
	latest := now.Add(p.Leeway)
	switch {
	case !now.Before(l.end):
		return l, errExpired
	case notBefore.After(latest) || issued.After(latest):
		return l, errNotYet
	case p.MaxLifetime > 0 && (issued.IsZero() || exp.Sub(issued) > p.MaxLifetime):
		return l, errLifetime
	}
	return l, nil
}

// optionalDate returns the zero time for what is absent; false for what is no
// date.
func optionalDate(v strictjson.Value) (time.Time, bool) {
	if v.Kind() == strictjson.Missing {
		return time.Time{}, true
	}
	return v.Date()
}
