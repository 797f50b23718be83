package main

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"testing"
)

// Whoever dials a name goes on to its next address where nobody answers, so one that
// leads back is enough; localhost has two on most machines.
func TestTheGatewayIsItsOwnUpstreamWhereAnyAddressLeadsBack(t *testing.T) {
	one, both := []string{"127.0.0.1"}, []string{"127.0.0.1", "::1"}
	for _, c := range []struct {
		upstream, listens string
		localhost         []string
		itself            bool
	}{
		{"http://localhost:8080", "127.0.0.1:8080", one, true},
		{"http://localhost:8080", "127.0.0.1:8080", both, true},
		{"http://localhost:8080", "[::1]:8080", both, true},
		{"http://localhost:8080", "0.0.0.0:8080", both, true},
		{"http://localhost:8080", "[::]:8080", both, true},
		{"http://localhost:8080", "[::1]:8080", one, false},
		{"http://localhost:8080", "127.0.0.2:8080", both, false},
		{"http://localhost:8080", "127.0.0.1:8080", nil, false},
		{"http://localhost:8081", "127.0.0.1:8080", both, false},

		{"http://127.0.0.1:8080", "127.0.0.1:8080", nil, true},
		{"http://[::ffff:127.0.0.1]:8080", "127.0.0.1:8080", nil, true},
		{"http://127.0.0.2:8080", "0.0.0.0:8080", nil, true},
		{"http://127.0.0.2:8080", "[::]:8080", nil, true},
		{"http://[::1]:8080", "[::]:8080", nil, true},
		{"http://10.0.0.1:8080", "10.0.0.1:8080", nil, true},
		{"http://127.0.0.2:8080", "127.0.0.1:8080", nil, false},
		{"http://127.0.0.1:8080", "10.0.0.1:8080", nil, false},
		{"http://127.0.0.1:8080", "[::1]:8080", nil, false},
		{"http://[::1]:8080", "127.0.0.1:8080", nil, false},
		{"http://[::1]:8080", "0.0.0.0:8080", nil, false},
		{"http://10.0.0.1:8080", "0.0.0.0:8080", nil, false},
		{"http://orders.example:8080", "127.0.0.1:8080", both, false},

		{"http://0.0.0.0:8080", "0.0.0.0:8080", nil, true},
		{"http://0.0.0.0:8080", "[::]:8080", nil, true},
		{"http://[::]:8080", "[::]:8080", nil, true},
		{"http://0.0.0.0:8080", "127.0.0.1:8080", nil, true},
		{"http://[::]:8080", "[::1]:8080", nil, true},
		{"http://[::]:8080", "127.0.0.1:8080", nil, true},
		{"http://[::]:8080", "0.0.0.0:8080", nil, true},
		{"http://[0:0::0]:8080", "127.0.0.1:8080", nil, true},
		{"http://[::ffff:0.0.0.0]:8080", "127.0.0.1:8080", nil, true},
		{"http://0.0.0.0:8080", "127.0.0.2:8080", nil, false},
		{"http://[::]:8080", "127.0.0.2:8080", nil, false},
		{"http://[::]:8080", "10.0.0.1:8080", nil, false},
		{"http://0.0.0.0:8080", "[::1]:8080", nil, false},

		{"http://127.0.0.1", "127.0.0.1:80", nil, true},
		{"https://127.0.0.1", "127.0.0.1:443", nil, true},
		{"https://127.0.0.1", "127.0.0.1:80", nil, false},
		{"http://127.0.0.1", "127.0.0.1:443", nil, false},
	} {
		upstream, err := url.Parse(c.upstream)
		if err != nil {
			t.Fatal(err)
		}
		lookup := func(host string) ([]string, error) {
			if host != "localhost" {
				t.Errorf("%s: %s is looked up", c.upstream, host)
			}
			if c.localhost == nil {
				return nil, errors.New("no such host")
			}
			return c.localhost, nil
		}
		if itself := isAt(upstream, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.listens)), lookup); itself != c.itself {
			t.Errorf("upstream %s of what listens on %s, with localhost at %v: %v, want %v", c.upstream, c.listens, c.localhost, itself, c.itself)
		}
	}
}
