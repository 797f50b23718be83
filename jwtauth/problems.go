package jwtauth

import (
	"errors"
	"fmt"
)

// problems are what is missing or contradictory in a configuration.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// of returns nil when there are none, and otherwise says of each what could not
// be made: where there are two of a kind, that is the operator's first question.
func (p problems) of(label string) error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = fmt.Errorf("jwtauth: %s: %w", label, problem)
	}
	return errors.Join(errs...)
}

// labelFor is what errors call one of a kind, by its issuer if that is known.
func labelFor(kind, issuer string) string {
	if issuer == "" {
		return kind
	}
	return fmt.Sprintf("%s for %.200q", kind, issuer)
}
