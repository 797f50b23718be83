package program

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// errEmpty refuses a text without anything in it: whoever gave one believes that it
// has an effect.
var errEmpty = errors.New("it is empty")

// List is the value of a flag that holds several words: separated by commas, in
// a flag that is given several times, or both.
type List []string

// String implements [flag.Value].
func (l *List) String() string { return strings.Join(*l, ",") }

// Set implements [flag.Value].
func (l *List) Set(s string) error {
	words := strings.Split(s, ",")
	if slices.Contains(words, "") {
		return errors.New("one of its names is empty")
	}
	*l = append(*l, words...)
	return nil
}

// Texts is the value of a flag that may be given several times and takes each
// value as it is.
type Texts []string

// String implements [flag.Value].
func (t *Texts) String() string { return strings.Join(*t, " ") }

// Set implements [flag.Value].
func (t *Texts) Set(s string) error {
	if s == "" {
		return errEmpty
	}
	*t = append(*t, s)
	return nil
}

// Once is the value of a flag that may be given once, which [Main] sees to.
type Once struct {
	Text  string
	times int
}

// String implements [flag.Value].
func (o *Once) String() string { return o.Text }

// Set implements [flag.Value]. A second time is no error here: package flag would
// print the text with it, which may hold a secret.
func (o *Once) Set(s string) error {
	if s == "" {
		return errEmpty
	}
	o.Text = s
	o.times++
	return nil
}

// onlyOnce names the flags of the type [Once] that were given several times.
func onlyOnce(fs *flag.FlagSet) error {
	var errs []error
	fs.Visit(func(f *flag.Flag) {
		if o, ok := f.Value.(*Once); ok && o.times > 1 {
			errs = append(errs, fmt.Errorf("-%s is given %d times", f.Name, o.times))
		}
	})
	return errors.Join(errs...)
}
