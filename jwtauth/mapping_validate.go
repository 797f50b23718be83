package jwtauth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/authctx/authctx/internal/exactname"
	"github.com/authctx/authctx/internal/grammar"
)

// validate reports everything that is wrong, by field.
func (c *ClaimMappingConfig) validate() (p problems) {
	note := func(field string, err error) {
		if err != nil {
			p.add("%s %w", field, err)
		}
	}
	if c.Subject != nil && len(c.Subject) == 0 {
		note("Subject", errors.New("needs a source"))
	}
	for name, sources := range c.texts {
		for i, s := range *sources {
			note(fmt.Sprintf("%s[%d]", name, i), s.validate(name, false))
			if i > 0 && (*sources)[i-1].Constant != "" {
				note(fmt.Sprintf("%s[%d]", name, i), errors.New("stands behind a Constant and would never be read"))
			}
		}
	}
	for i, s := range c.AuthTime {
		note(fmt.Sprintf("AuthTime[%d]", i), s.validateDate())
	}
	for name, sources := range c.lists {
		for i, s := range *sources {
			note(fmt.Sprintf("%s[%d]", name, i), s.validate(name, true))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Extra)) {
		if key == "" || !utf8.ValidString(key) {
			note("Extra", errors.New("has a key that is empty or not valid UTF-8"))
		}
		for i, s := range c.Extra[key] {
			note(fmt.Sprintf("Extra[%q][%d]", key, i), s.validate("Extra", true))
		}
	}
	for name, tests := range c.tests {
		for i, t := range *tests {
			note(fmt.Sprintf("%s[%d]", name, i), t.validate())
		}
	}
	return p
}

func (s *ClaimSource) validate(attribute string, list bool) error {
	switch {
	case s.Constant != "":
		return s.validateConstant(attribute)
	case len(s.Path) == 0 || slices.Contains(s.Path, ""):
		return errors.New("needs a path without empty segments")
	case s.Form >= claimFormEnd:
		return errors.New("has an unknown form")
	case !list && (s.Form != ClaimValues || s.Member != ""):
		return errors.New("is a single text and has neither form nor member")
	case s.Member != "" && s.Form >= ClaimKeys:
		return errors.New("has a form that looks at no member")
	case !utf8.ValidString(s.AddPrefix):
		return errors.New("has a prefix that is not valid UTF-8")
	}
	return nil
}

func (s *ClaimSource) validateConstant(attribute string) error {
	switch attribute {
	case "Tenant", "Roles", "Permissions", "Scopes", "Groups", "Extra":
	default:
		return errors.New("differs from token to token and cannot be a Constant")
	}
	switch {
	case len(s.Path) > 0 || s.Form != ClaimValues || s.Member != "" || s.TrimPrefix != "" || s.AddPrefix != "":
		return errors.New("has a Constant, which excludes Path, Form, Member, TrimPrefix and AddPrefix")
	case !exactname.Valid(s.Constant):
		return fmt.Errorf("has the Constant %.200q, which "+exactname.Rule, s.Constant)
	case attribute == "Scopes" && !grammar.IsScopeToken(s.Constant):
		return errors.New("has a Constant that is no scope token (RFC 6749 section 3.3)")
	}
	return nil
}

func (s *ClaimSource) validateDate() error {
	if s.Form != ClaimValues || s.Member != "" || s.TrimPrefix != "" || s.AddPrefix != "" {
		return errors.New("is a date and has a path alone")
	}
	return s.validate("AuthTime", false)
}

func (t *ClaimTest) validate() error {
	switch {
	case len(t.Path) == 0 || slices.Contains(t.Path, ""):
		return errors.New("needs a path without empty segments")
	case t.Present == (len(t.Values) > 0):
		return errors.New("needs either Values or Present")
	case slices.Contains(t.Values, ""):
		return errors.New("has an empty value")
	}
	return nil
}
