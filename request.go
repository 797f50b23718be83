package authctx

import (
	"crypto/x509"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// Values of Transport in a [Request] and an [Event].
const (
	TransportHTTP    = "http"
	TransportGRPC    = "grpc"
	TransportMessage = "message" // taken from a queue or a topic
)

// Request is what an [Authenticator] may see of any transport. A transport
// builds one per call from what it received; authenticators only read it.
type Request struct {
	// Transport is [TransportHTTP], [TransportGRPC] or [TransportMessage].
	Transport string
	// Method is the HTTP method; "POST" for gRPC, empty for messages.
	Method string
	// Target is the path of an HTTP request without its query and with its
	// percent-encoding, the full method of an RPC ("/package.Service/Method"),
	// or the topic of a message. It is what the peer sent.
	Target string
	// Fields reads headers or metadata as they came in, before anything was
	// stripped. Nil has no fields.
	Fields FieldReader
	// Peer is the address at the other end of the connection, never one that a
	// header claims; the zero address when there is none, as on a Unix socket.
	Peer netip.AddrPort
	// PeerCertificates is the peer's certificate chain, leaf first, after it
	// was verified against this server's roots. Nil when the peer showed no
	// certificate or it was not verified.
	PeerCertificates []*x509.Certificate
	// UnverifiedPeerCertificate is the certificate whose key the peer has proved
	// to hold in the TLS handshake, whether or not any root vouches for it; nil
	// when there is none. It is good for comparing with what a token is bound to
	// (RFC 8705 section 3) and nothing else: anybody can make one that holds any
	// name.
	UnverifiedPeerCertificate *x509.Certificate
}

// FieldReader reads fields by name without regard to case.
type FieldReader interface {
	// Values returns the values of one field in the order received, nil when it
	// is absent. The slice is only read.
	Values(name string) []string
	// Names yields the name of every field as the peer spelled it, in any
	// order; one that has several spellings, in one of them.
	Names() iter.Seq[string]
}

// FieldMap reads m, whose keys may be spelled in any case, as a [FieldReader].
// Names that differ only in the case of ASCII letters are one field with several
// values. It reads m at once: what is added to m later is not seen. It keeps the lists
// of values, which must not change while they are read.
func FieldMap(m map[string][]string) FieldReader {
	f := fieldMap{byName: make(map[string][]string, len(m))}
	for spelled, values := range m {
		name := lowerName(spelled)
		if more, there := f.byName[name]; there {
			f.byName[name] = append(more, values...)
		} else {
			f.byName[name] = slices.Clip(values) // m keeps its own
			f.names = append(f.names, spelled)
		}
	}
	return f
}

// fieldMap finds a field without looking at the others, and names it once, because the
// peer chooses how many fields there are and in how many spellings.
type fieldMap struct {
	byName map[string][]string // in lower case
	names  []string            // in one of their spellings
}

func (m fieldMap) Names() iter.Seq[string] { return slices.Values(m.names) }

func (m fieldMap) Values(name string) []string { return m.byName[lowerName(name)] }

// lowerName returns a field name with its ASCII letters in lower case. Unicode would
// turn others into ASCII, such as the Kelvin sign, which stripping takes for no letter.
func lowerName(name string) string {
	if !strings.ContainsFunc(name, isUpper) {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		if isUpper(rune(c)) {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func isUpper(c rune) bool { return 'A' <= c && c <= 'Z' }

// Values returns the values of a field that are not empty, nil when there are
// none: an empty field and an absent one are the same.
func (r *Request) Values(name string) []string {
	if r == nil || r.Fields == nil {
		return nil
	}
	values := r.Fields.Values(name)
	if !slices.Contains(values, "") {
		return values
	}
	var kept []string
	for _, v := range values {
		if v != "" {
			kept = append(kept, v)
		}
	}
	return kept
}

// Cookies returns the values of every cookie of that exact name (RFC 6265
// section 4.2), quotes removed.
func (r *Request) Cookies(name string) []string {
	var found []string
	for _, line := range r.Values("cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			n, v, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
			if ok && n == name {
				found = append(found, unquote(v))
			}
		}
	}
	return found
}

// Subprotocols returns what follows prefix in every WebSocket subprotocol that
// the peer offers (RFC 6455 section 11.3.4) and that begins with it.
func (r *Request) Subprotocols(prefix string) []string {
	var found []string
	for _, line := range r.Values("sec-websocket-protocol") {
		for offer := range strings.SplitSeq(line, ",") {
			if rest, ok := strings.CutPrefix(strings.Trim(offer, " \t"), prefix); ok {
				found = append(found, rest)
			}
		}
	}
	return found
}

func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}
