package program

import (
	"errors"
	"flag"
	"strings"
)

// TrustDomainVar defines a flag that holds the name of a trust domain (SPIFFE-ID
// section 2.1). With a scheme, or in other letters, it would be one that nobody else
// means.
func TrustDomainVar(fs *flag.FlagSet, p *string, name, value, usage string) {
	*p = value
	fs.Func(name, usage+" (default "+value+")", func(s string) error {
		if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
			return errors.New("want a name in lower case and without a scheme, as prod.example.com")
		}
		*p = s
		return nil
	})
}
