package httpctx

import (
	"context"
	"crypto/x509"
	"errors"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/peeraddr"
)

// incoming is an [authctx.Request] with its fields, in one allocation.
type incoming struct {
	request authctx.Request
	fields  fieldReader
}

// fieldReader reads the header of a request, whose keys are canonical. Names
// that are asked for on every request have their key ready, because making it
// allocates.
type fieldReader struct {
	header http.Header
	keys   map[string]string
}

func (f *fieldReader) Values(name string) []string {
	key, ok := f.keys[name]
	if !ok {
		key = http.CanonicalHeaderKey(name)
	}
	return f.header[key]
}

func (f *fieldReader) Names() iter.Seq[string] { return maps.Keys(f.header) }

func canonicalKeys(set authctx.FieldSet) map[string]string {
	keys := make(map[string]string, len(set.Names))
	for _, name := range set.Names {
		keys[name] = http.CanonicalHeaderKey(name)
	}
	return keys
}

// ConnContext is for the field ConnContext of [net/http.Server]. With it, the peer
// that an [authctx.Trust] judges and that observers are told of is the other end of
// the connection, whatever middleware in front has written to RemoteAddr of the
// request, perhaps from a header that anybody can send. The returned context keeps
// c, and asks it for its addresses only. It is safe for concurrent use.
//
// Servers of this package and those of package grpcctx behind
// [google.golang.org/grpc.Server.ServeHTTP] heed it. Where c is what a proxy in
// front has opened, the peer is that proxy.
func ConnContext(ctx context.Context, c net.Conn) context.Context { return peeraddr.NewContext(ctx, c) }

// peer returns the address at the other end of the connection, the zero address
// for a Unix socket. Headers have no say in it.
func peer(r *http.Request) netip.AddrPort {
	if addr, ok := peeraddr.FromContext(r.Context()); ok {
		return addr
	}
	if peeraddr.IsUnix(localAddr(r.Context())) {
		return netip.AddrPort{}
	}
	return peeraddr.Parse(r.RemoteAddr)
}

// localAddr returns this end of the connection of a request, nil if it is not known.
// The context that fasthttp's adaptor makes has a method for it.
func localAddr(ctx context.Context) net.Addr {
	if local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr); ok {
		return local
	}
	if c, ok := ctx.(interface{ LocalAddr() net.Addr }); ok {
		return c.LocalAddr()
	}
	return nil
}

// target returns the path as the peer sent it. EscapedPath would write a path
// anew that has a character which belongs encoded, and lose what was: "/a%2Fb|c"
// is not "/a/b%7Cc".
func target(u *url.URL) string {
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// peerCertificates returns the chain that was verified, never the one that was
// merely shown.
func peerCertificates(r *http.Request) []*x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0]
}

// isTrace reports whether a server may answer a request of this method with the
// request as it came, so that nobody may write into it what its client is not to see
// (RFC 9110 section 9.3.8). TRACK is what old servers of Microsoft call it.
func isTrace(method string) bool {
	return strings.EqualFold(method, http.MethodTrace) || strings.EqualFold(method, "TRACK")
}

var errTrace = errors.New("the answer to a TRACE would show its client who is calling")

// handBack gives r the form of served, the copy of it that a handler got: net/http
// removes the files of the request that it has made itself. Defer it, since a panic
// may be recovered outside. The Pattern that a mux inside has set is not handed back:
// where r is served again, by another path, it would rule that.
func handBack(r, served *http.Request) {
	if served.MultipartForm != nil {
		r.MultipartForm = served.MultipartForm
	}
}

// setFields writes response fields.
func setFields(h http.Header, fields []authctx.Field) {
	for _, f := range fields {
		h.Set(f.Name, f.Value)
	}
}
