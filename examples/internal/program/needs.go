package program

import (
	"errors"
	"flag"
	"fmt"
	"slices"
)

// Needs refuses those of the named flags that were given although what they are
// about is not there, which must not go unnoticed: whoever gave one believes
// that it has an effect.
func Needs(what string, fs *flag.FlagSet, names ...string) error {
	var errs []error
	fs.Visit(func(given *flag.Flag) {
		if slices.Contains(names, given.Name) {
			errs = append(errs, fmt.Errorf("-%s needs %s", given.Name, what))
		}
	})
	return errors.Join(errs...)
}
