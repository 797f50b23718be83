package program

import "strings"

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
