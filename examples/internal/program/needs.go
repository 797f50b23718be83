package program

import (
	"errors"
	"flag"
	"fmt"
)

// Needs refuses those of the named flags that were given although what they are
// about is not there, which must not go unnoticed: whoever gave one believes
// that it has an effect.
func Needs(what string, fs *flag.FlagSet, names ...string) error {
	var errs []error
	for _, name := range names {
		if Given(fs, name) {
			errs = append(errs, fmt.Errorf("-%s needs %s", name, what))
		}
	}
	return errors.Join(errs...)
}

// Given reports whether the named flag was given, with its default too.
func Given(fs *flag.FlagSet, name string) bool {
	given := false
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// About says which flag err is about; nil stays nil.
func About(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("-%s: %w", name, err)
}
