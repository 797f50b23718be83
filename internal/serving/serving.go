// Package serving checks the settings that servers of every transport have.
package serving

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// Check calls bad with everything that is wrong in the settings that every
// server has, by the names that they have in its configuration.
func Check(bad func(text string), authenticator authctx.Authenticator, strip authctx.FieldSet, keep bool, recheck time.Duration, observer authctx.Observer) {
	if absent.Unmade(authenticator) {
		bad("Authenticator is required")
	} else if err := authenticator.Fields().Validate(); err != nil {
		bad("Authenticator: " + err.Error())
	} else if both := inBoth(authenticator.Fields(), strip); keep && len(both) > 0 {
		bad("KeepCredentials contradicts Strip, which removes what Authenticator reads: " + strings.Join(both, ", "))
	}
	if err := strip.Validate(); err != nil {
		bad("Strip: " + err.Error())
	}
	if recheck != 0 && recheck < time.Millisecond {
		bad(fmt.Sprintf("RecheckInterval must be at least 1ms and is %v; a number without a unit is nanoseconds", recheck))
	}
	if absent.Hollow(observer) {
		bad("Observer holds a nil pointer")
	}
}

// inBoth returns what is in both sets, but for identity, which is never kept.
func inBoth(read, strip authctx.FieldSet) []string {
	identity := authctx.IdentityFields()
	both := slices.DeleteFunc(slices.Concat(read.Names, read.Prefixes), func(name string) bool {
		return !strip.Owns(name) || identity.Owns(name)
	})
	for _, name := range strip.Names {
		if (authctx.FieldSet{Prefixes: read.Prefixes}).Owns(name) && !identity.Owns(name) {
			both = append(both, name)
		}
	}
	for _, cookie := range read.Cookies {
		same := func(name string) bool { return strings.EqualFold(name, cookie) }
		if strip.Owns("cookie") || slices.ContainsFunc(strip.Cookies, same) {
			both = append(both, "the cookie "+cookie)
		}
	}
	return both
}
