package program

import (
	"errors"
	"flag"
	"time"
)

// DurationVar defines a flag that holds a duration, as [flag.FlagSet.DurationVar]
// does, but says how one is written.
func DurationVar(fs *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	fs.Var((*duration)(p), name, usage)
}

type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(s string) error {
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want a time with its unit, as in 3s")
	}
	*d = duration(parsed)
	return nil
}
