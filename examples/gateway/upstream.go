package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/authctx/authctx/examples/internal/program"
)

// upstreams is the services behind the gateway.
type upstreams struct {
	httpFlag, grpcFlag program.Once
	plaintext          bool

	http, grpc *url.URL // nil if not given
}

func (u *upstreams) flags(fs *flag.FlagSet) {
	fs.Var(&u.httpFlag, "upstream", "`URL` of the HTTP service, as http://127.0.0.1:8081")
	fs.Var(&u.grpcFlag, "grpc-upstream", "`ADDR` of the gRPC service, as 127.0.0.1:9091")
	fs.BoolVar(&u.plaintext, "allow-plaintext", false, "tell upstreams on other machines who is calling without TLS too, where whoever\n"+
		"is on the path can read and change that; for networks that encrypt by\n"+
		"themselves, such as a service mesh")
}

// check reads the flags. Its errors show no more of them than a host, since they may
// hold a secret.
func (u *upstreams) check() error {
	var noHTTP, noGRPC error
	u.http, noHTTP = u.read("upstream", u.httpFlag.Text, parseUpstream)
	u.grpc, noGRPC = u.read("grpc-upstream", u.grpcFlag.Text, parseGRPCUpstream)
	if u.httpFlag.Text == "" && u.grpcFlag.Text == "" {
		return errors.New("-upstream or -grpc-upstream is required, or both")
	}
	return errors.Join(noHTTP, noGRPC)
}

// read returns the upstream of a flag, nil if that was not given. The proxy would
// refuse every request for one that it may not send the caller to; this program does
// not start.
func (u *upstreams) read(flag, text string, parse func(string) (*url.URL, error)) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	upstream, err := parse(text)
	if err == nil && upstream.Scheme == "http" && !thisMachine(upstream.Hostname()) && !u.plaintext {
		err = fmt.Errorf("%s is on another machine and has no TLS: needs -allow-plaintext", upstream.Host)
	}
	return upstream, program.About(flag, err)
}

// parseUpstream reads a URL. One without a host is about this machine, as it is to
// whoever dials.
func parseUpstream(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("want http://HOST:PORT or an https URL")
	case u.User != nil:
		return nil, errors.New("it holds a user name, which nobody would be sent")
	case u.Fragment != "":
		return nil, errors.New("it has a fragment, which nobody would be sent")
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !program.IsPort(u.Port()):
		return nil, errPort
	case u.Hostname() == "":
		u.Host = "localhost" + u.Host
	}
	return u, nil
}

// parseGRPCUpstream returns the URL of an address.
func parseGRPCUpstream(s string) (*url.URL, error) {
	u := &url.URL{Scheme: "http", Host: s}
	host, port, err := net.SplitHostPort(s)
	if _, noHost := url.Parse(u.String()); err != nil || host == "" || port == "" || noHost != nil {
		return nil, errors.New("want HOST:PORT")
	}
	if !program.IsPort(port) {
		return nil, errPort
	}
	return u, nil
}

var errPort = errors.New("want a port from 1 to 65535")

// checkListening refuses upstreams that are the gateway itself, which listens at an
// address: it would take its own requests for those of clients without a token.
func (u *upstreams) checkListening(at net.Addr) error {
	var errs []error
	for flag, upstream := range map[string]*url.URL{"upstream": u.http, "grpc-upstream": u.grpc} {
		if upstream != nil && leadsTo(upstream, at.(*net.TCPAddr)) {
			errs = append(errs, fmt.Errorf("-%s: %s is where the gateway itself listens", flag, upstream.Host))
		}
	}
	return errors.Join(errs...)
}

// leadsTo reports whether what listens at an address gets the connections to an
// upstream. Of one on the same port, a connection tells.
func leadsTo(upstream *url.URL, at *net.TCPAddr) bool {
	port := cmp.Or(upstream.Port(), map[string]string{"http": "80", "https": "443"}[upstream.Scheme])
	if port != strconv.Itoa(at.Port) {
		return false
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(upstream.Hostname(), port), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	from, to := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	return to.IP.Equal(at.IP) || at.IP.IsUnspecified() && (to.IP.IsLoopback() || to.IP.Equal(from.IP))
}

// thisMachine reports whether an upstream on host is told who is calling without
// TLS.
func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
