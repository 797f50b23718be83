package program

import (
	"errors"
	"flag"
	"net"
	"strconv"
)

// AddressVar defines a flag that names an address to listen on, such as
// "127.0.0.1:8080" or ":8080".
func AddressVar(fs *flag.FlagSet, p *string, name, value, usage string) {
	*p = value
	fs.Func(name, usage+" (default "+value+")", func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return errors.New("want HOST:PORT")
		}
		*p = s
		return nil
	})
}
