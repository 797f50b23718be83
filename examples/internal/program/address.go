package program

import (
	"errors"
	"flag"
	"net"
	"strconv"
)

// AddressVar defines a flag that names an address to listen on, such as
// "127.0.0.1:8080" or ":8080". Port 0 is any that is free.
func AddressVar(fs *flag.FlagSet, p *string, name, value, usage string) {
	*p = value
	fs.Func(name, usage+" (default "+value+")", func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return errors.New("want HOST:PORT, with a port up to 65535")
		}
		*p = s
		return nil
	})
}

// Listen listens on the address that the named flag holds.
func Listen(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	return l, About(name, err)
}

// IsPort reports whether s is a port that somebody can listen on.
func IsPort(s string) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port != 0
}
