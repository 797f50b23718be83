package program

import (
	"fmt"
	"strings"
)

// List is the value of a flag that holds several words: separated by commas, in
// a flag that is given several times, or both.
type List []string

// String implements [flag.Value].
func (l *List) String() string { return strings.Join(*l, ",") }

// Set implements [flag.Value].
func (l *List) Set(s string) error {
	*l = append(*l, strings.Split(s, ",")...)
	return nil
}

// Texts is the value of a flag that may be given several times and takes each
// value as it is.
type Texts []string

// String implements [flag.Value].
func (t *Texts) String() string { return strings.Join(*t, " ") }

// Set implements [flag.Value].
func (t *Texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// Once is the value of a flag that may be given once.
type Once struct {
	Text  string
	times int
}

// String implements [flag.Value].
func (o *Once) String() string { return o.Text }

// Set implements [flag.Value]. A second time is no error here, because package
// flag would repeat the text, which may hold a secret.
func (o *Once) Set(s string) error {
	o.Text = s
	o.times++
	return nil
}

// Check returns an error when the flag of that name was given several times, or
// without a text: whoever gave one believes that it has an effect.
func (o *Once) Check(name string) error {
	if o.times > 1 {
		return fmt.Errorf("-%s is given %d times", name, o.times)
	}
	if o.times > 0 && o.Text == "" {
		return fmt.Errorf("-%s is empty", name)
	}
	return nil
}
