package jwtauth

import (
	"time"

	"github.com/authctx/authctx/internal/moment"
)

// denials are what issuers are answered with for a while.
type denials map[string]denial

type denial struct {
	err   error
	until time.Time
}

func (d denials) find(iss string, now time.Time) error {
	if no, ok := d[iss]; ok && !moment.Reached(no.until, now) {
		return no.err
	}
	return nil
}

func (d denials) add(iss string, err error, until time.Time, bound int) {
	if len(d) >= bound {
		clear(d)
	}
	d[iss] = denial{err, until}
}
