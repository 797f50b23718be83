// Package serving is what servers have in common, whatever the transport.
package serving

import (
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// Check calls bad with everything that is wrong in the settings that every
// server has, by the names that they have in its configuration.
func Check(bad func(text string), authenticator authctx.Authenticator, strip authctx.FieldSet, recheck time.Duration, observer authctx.Observer) {
	if absent.Nil(authenticator) {
		bad("Authenticator is required")
	} else if err := authenticator.Fields().Validate(); err != nil {
		bad("Authenticator: " + err.Error())
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
