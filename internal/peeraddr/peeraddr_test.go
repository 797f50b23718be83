package peeraddr_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/authctx/authctx/internal/peeraddr"
)

func TestAnAddressIsThatOfAConnection(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:99":         "192.0.2.1:99",
		"[2001:db8::1]:99":     "[2001:db8::1]:99",
		"[fe80::1%eth0]:99":    "[fe80::1%eth0]:99",
		"[::ffff:10.0.0.1]:99": "10.0.0.1:99",
		"":                     "",
		"@":                    "",
		"pipe":                 "",
		"localhost:99":         "",
		"10.1.0.5:http":        "",
		"10.1.0.5:":            "",
		":99":                  "",
		" 10.1.0.5:99":         "",
		"10.1.0.5:99, 9.9.9.9": "",
	} {
		if got := peeraddr.Parse(text); got != addrPort(want) {
			t.Errorf("%q is %v, want %q", text, got, want)
		}
	}
}

// A connection has a port. What has none was written over RemoteAddr by
// middleware, of a header that anybody may send: chi's RealIP and gorilla's
// ProxyHeaders take "X-Forwarded-For: 10.1.0.5" for an address, and who believes
// plain fields of peers in 10.1.0.0/16 would believe those of everybody.
func TestAnAddressWithoutAPortIsWhatAHeaderSaid(t *testing.T) {
	for _, text := range []string{"10.1.0.5", "::1", "[::1]", "2001:db8::1", "::ffff:10.1.0.5", "10.1.0.5%eth0"} {
		if got := peeraddr.Parse(text); got.IsValid() {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestAnEndOfAUnixSocketHasNoAddress(t *testing.T) {
	for addr, want := range map[net.Addr]bool{
		&net.UnixAddr{Name: "10.0.0.1:99", Net: "unix"}:       true,
		&net.UnixAddr{Name: "10.0.0.1:99", Net: "unixpacket"}: true,
		&net.TCPAddr{}: false,
		nil:            false,
	} {
		if got := peeraddr.IsUnix(addr); got != want {
			t.Errorf("%v: %v", addr, got)
		}
	}
}

func TestNoNameOfASocketIsAnAddress(t *testing.T) {
	for name, addr := range map[string]net.Addr{
		"nil": nil, "a Unix socket": &net.UnixAddr{Name: "10.0.0.1:80", Net: "unix"}, "an abstract one": &net.UnixAddr{Name: "127.0.0.1", Net: "unix"},
		"a packet one": &net.UnixAddr{Name: "[::1]:80", Net: "unixgram"}, "no address": &net.TCPAddr{},
	} {
		if got := peeraddr.Of(addr); got.Addr().IsValid() {
			t.Errorf("%s is taken for %v", name, got)
		}
	}
	if got := peeraddr.Of(&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 80}); got.String() != "10.0.0.1:80" {
		t.Errorf("an address is taken for %v", got)
	}
}

// end is a connection with these ends.
type end struct {
	net.Conn
	local, remote net.Addr
}

func (e end) LocalAddr() net.Addr  { return e.local }
func (e end) RemoteAddr() net.Addr { return e.remote }

func TestAConnectionIsKept(t *testing.T) {
	tcp := &net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 80}
	unix := &net.UnixAddr{Name: "/run/service", Net: "unix"}
	if got, ok := peeraddr.FromContext(t.Context()); ok || got.IsValid() {
		t.Errorf("%v is kept by nobody", got)
	}
	for name, test := range map[string]struct {
		conn end
		want string
	}{
		"IPv4": {end{nil, tcp, tcp}, "10.0.0.1:80"},
		"a Unix socket, whose other end is bound to what it likes": {end{nil, unix, tcp}, ""},
		"nowhere": {end{}, ""},
	} {
		if got, ok := peeraddr.FromContext(peeraddr.NewContext(t.Context(), test.conn)); !ok || got != addrPort(test.want) {
			t.Errorf("%s: %v, %v, want %q", name, got, ok, test.want)
		}
	}
}

func addrPort(text string) netip.AddrPort {
	if text == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(text)
}
