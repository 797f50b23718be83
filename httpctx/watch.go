package httpctx

import (
	"context"
	"errors"
	"time"

	"github.com/authctx/authctx"
)

// maxWait bounds how long a connection goes without a look at the clock, because
// timers do not follow when a wall clock is set or a machine was suspended.
const maxWait = time.Minute

func (s *Server) rechecks(res *authctx.Result) bool { return s.recheck > 0 && res.Recheck != nil }

// watches reports whether there is anything to watch for.
func (s *Server) watches(res *authctx.Result) bool {
	return !res.Principal.Expires().IsZero() || s.rechecks(res)
}

// watch calls ended, once, when the caller of a connection comes to an end or
// does not pass a recheck. It returns then, or when ctx is done.
func (s *Server) watch(ctx context.Context, res authctx.Result, ended func(error)) {
	next := s.now().Add(s.recheck)
	timer := time.NewTimer(s.wait(&res, next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := s.stillStands(ctx, &res, &next); err != nil {
			ended(err)
			return
		}
		timer.Reset(s.wait(&res, next))
	}
}

// wait returns how long to sleep until the caller's end or the next recheck.
func (s *Server) wait(res *authctx.Result, next time.Time) time.Duration {
	d, now := maxWait, s.now()
	if end := res.Principal.Expires(); !end.IsZero() {
		d = min(d, end.Sub(now))
	}
	if s.rechecks(res) {
		d = min(d, next.Sub(now))
	}
	return max(d, 0)
}

// stillStands returns why the connection must end. A recheck that cannot be made
// ends it as it would refuse a new request; it has until the next one is due.
func (s *Server) stillStands(ctx context.Context, res *authctx.Result, next *time.Time) error {
	now := s.now()
	if res.Principal.ExpiredAt(now) {
		return &authctx.Error{Reason: authctx.TokenExpired, Cause: errors.New("the caller's effective end came while the connection was open")}
	}
	if !s.rechecks(res) || now.Before(*next) {
		return nil
	}
	*next = now.Add(s.recheck)
	check, cancel := context.WithTimeout(ctx, s.recheck)
	defer cancel()
	err := res.Recheck(check)
	if ctx.Err() != nil {
		return nil // the connection was closed meanwhile: not an answer
	}
	return err
}
