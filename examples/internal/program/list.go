package program

import "strings"

// List is the value of a flag that holds several texts: separated by commas, in
// a flag that is given several times, or both.
type List []string

// String implements [flag.Value].
func (l *List) String() string { return strings.Join(*l, ",") }

// Set implements [flag.Value].
func (l *List) Set(s string) error {
	for text := range strings.SplitSeq(s, ",") {
		*l = append(*l, strings.TrimSpace(text))
	}
	return nil
}
