package authctx

import (
	"slices"
	"time"
)

// needs is what rules that stand together want of a token.
type needs struct {
	scopes  []string
	classes []string       // any of them; nil if no class is wanted, empty if none is enough
	age     *time.Duration // nil if any will do
}

// A hintingRule has refusals that tell the client what to ask for.
type hintingRule interface {
	Rule
	// addTo returns n with what the rule wants of everybody. It does not change n.
	addTo(n needs) needs
	// naming returns the rule with refusals that name n and what the rule itself wants.
	naming(n needs) Rule
}

// allNaming returns rules, those of them that hint naming n.
func allNaming(rules []Rule, n needs) []Rule {
	rules = slices.Clone(rules)
	for i, rule := range rules {
		if h, ok := rule.(hintingRule); ok {
			rules[i] = h.naming(n)
		}
	}
	return rules
}

// refusal returns an Error that names n. It shares nothing with n, since whoever gets it
// may change it.
func (n needs) refusal(r Reason, cause error) *Error {
	e := &Error{Reason: r, Cause: cause, Scopes: slices.Clip(slices.Clone(n.scopes))}
	if r == InsufficientAuthentication {
		e.ACRValues = slices.Clip(slices.Clone(n.classes))
		if n.age != nil {
			age := *n.age
			e.MaxAge = &age
		}
	}
	return e
}
