package authctx

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// Field is one field of a request or response: an HTTP header, a gRPC metadata
// entry or a message header. Names are lower case.
//
// The value may be a credential, so a Field prints, logs and marshals as its name
// alone, and cannot be read back from that. In two cases fmt does not call Format and
// prints the value, too: for a Field in an unexported field of a struct, and for the
// verbs %p and %w, which go vet reports as mistakes.
type Field struct {
	Name, Value string
}

// Format implements [fmt.Formatter] with the name.
func (f Field) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.Name) }

// LogValue implements [slog.LogValuer] with the name.
func (f Field) LogValue() slog.Value { return slog.StringValue(f.Name) }

// MarshalText returns the name, for logs.
func (f Field) MarshalText() ([]byte, error) { return []byte(f.Name), nil }

// FieldSet says which fields of a request carry identity. Whatever reads or
// writes such fields publishes its set, and whatever must know of them, above
// all stripping, asks the set. The zero FieldSet owns nothing.
//
// Its slices must not be changed once it is published.
type FieldSet struct {
	// Names are whole field names, in lower case with hyphens.
	Names []string
	// Prefixes are beginnings of field names, such as "x-user-".
	Prefixes []string
	// Cookies are names of single cookies within the cookie field.
	Cookies []string
	// Subprotocols are beginnings of WebSocket subprotocols that carry a
	// credential, such as "bearer.": a browser can send it no other way.
	Subprotocols []string
	// Schemes are the authentication schemes read from the authorization field,
	// spelled as in a challenge, the preferred one first: "Bearer", "DPoP". The
	// parameters that a challenge should have may follow: `DPoP algs="ES256"`. HTTP
	// names Bearer first in any case, for clients that look no further.
	Schemes []string
}

// IdentityFields returns the fields that no program of this module ever lets
// through from outside: every plain identity field and the Transaction Token,
// whichever of them the program itself uses.
func IdentityFields() FieldSet {
	return FieldSet{Names: []string{TxnTokenField}, Prefixes: []string{plainFieldPrefix}}
}

// TxnTokenField is the field that carries a Transaction Token
// (draft-ietf-oauth-transaction-tokens-09 section 12.1).
const TxnTokenField = "txn-token"

// deferredField carries, in messages, what jwtauth signs for work that waits.
const deferredField = plainFieldPrefix + "deferred"

// Validate returns an error that names every part of s that servers, clients and
// proxies refuse:
//
//   - whatever is empty;
//   - a field name with other characters than letters, digits, "-", "_" and ".", which
//     is more likely a slip than a name;
//   - a scheme that no challenge can name;
//   - a name or prefix that owns a field which the connection or the message needs,
//     such as content-type.
func (s FieldSet) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authctx: field set: "+format, args...))
	}
	judge := func(what, name string, only FieldSet) {
		if name == "" || strings.ContainsFunc(name, notInNames) {
			bad("%s %q is not one that a field has", what, name)
		} else if i := slices.IndexFunc(neededFields[:], only.Owns); i >= 0 {
			bad("%s %q is that of %s, which the connection or the message needs", what, name, neededFields[i])
		}
	}
	for _, name := range s.Names {
		judge("the name", name, FieldSet{Names: []string{name}})
	}
	for _, prefix := range s.Prefixes {
		judge("the prefix", prefix, FieldSet{Prefixes: []string{prefix}})
	}
	if slices.Contains(s.Cookies, "") {
		bad("a cookie has no name")
	}
	if slices.Contains(s.Subprotocols, "") {
		bad(`the subprotocol prefix "" is that of every subprotocol`)
	}
	for _, scheme := range s.Schemes {
		name, parameters, _ := strings.Cut(scheme, " ")
		if name == "" || strings.ContainsFunc(name, notInNames) || !isPrintable(parameters) {
			bad("the scheme %q is not one that a challenge names", scheme)
		}
	}
	return errors.Join(errs...)
}

// neededFields would break the connection or the message if they were removed.
// Pseudo-headers are no valid names anyway.
var neededFields = [...]string{
	"connection", "content-encoding", "content-length", "content-type", "grpc-encoding", "host", "keep-alive",
	"proxy-connection", "sec-websocket-key", "sec-websocket-version", "te", "trailer", "transfer-encoding", "upgrade",
}

// notInNames reports whether nobody has c in the name of a field.
func notInNames(c rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", c)
}

// isPrintable reports whether HTTP and gRPC carry s unchanged: printable ASCII
// without space at an end.
func isPrintable(s string) bool {
	return strings.Trim(s, " ") == s && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// Union returns what s or any of the others owns, each once, in order.
func (s FieldSet) Union(others ...FieldSet) FieldSet {
	var u FieldSet
	for _, o := range append([]FieldSet{s}, others...) {
		u.Names = appendNew(u.Names, o.Names)
		u.Prefixes = appendNew(u.Prefixes, o.Prefixes)
		u.Cookies = appendNew(u.Cookies, o.Cookies)
		u.Subprotocols = appendNew(u.Subprotocols, o.Subprotocols)
		u.Schemes = appendNew(u.Schemes, o.Schemes)
	}
	return u
}

// Owns reports whether a field of this name belongs to the set, however a peer
// spells it. It ignores whatever some server behind us, or some client before us,
// ignores:
//
//   - the case of letters;
//   - the kind of punctuation: "-", "_", "." and all others are the same;
//   - "-bin" behind a name of the set, once or more often;
//   - prefixes of gateways in front of one: "grpc-metadata-", "grpcgateway-" and, for
//     trailers, "grpc-trailer-" of grpc-gateway, and "trailer-", by which Connect tells
//     trailers from headers.
//
// No gateway writes more than eight such prefixes: a name with more belongs to
// every set that has names or prefixes. Owns does not look at cookies and
// subprotocols, which are parts of a field, and does not allocate.
func (s FieldSet) Owns(name string) bool {
	suffixes := 0 // at the end of name, as many as leave something
	for rest := len(name) - len(binarySuffix); rest > 0 && hasFoldedPrefix(name[rest:], binarySuffix); rest -= len(binarySuffix) {
		suffixes++
	}
	for range maxGatewayPrefixes + 1 {
		if s.ownsBinary(name, suffixes) {
			return true
		}
		prefix := gatewayPrefix(name)
		if prefix == 0 {
			return false
		}
		name = name[prefix:]
	}
	return len(s.Names) > 0 || len(s.Prefixes) > 0
}

// maxGatewayPrefixes is more than a chain of gateways writes. It is a bound because
// the whole set is looked at for each, and peers choose how many there are.
const maxGatewayPrefixes = 8

// ownsBinary is Owns without regard to prefixes of gateways, for a name that ends in
// that many "-bin". Its time does not grow with their number, which peers choose.
func (s FieldSet) ownsBinary(name string, suffixes int) bool {
	return slices.ContainsFunc(s.Prefixes, func(p string) bool { return hasFoldedPrefix(name, p) }) ||
		slices.ContainsFunc(s.Names, func(n string) bool {
			more := len(name) - len(n)
			return more%len(binarySuffix) == 0 && more/len(binarySuffix) <= suffixes && hasFoldedPrefix(name, n)
		})
}

const binarySuffix = "-bin"

// gatewayPrefixes are what gateways between HTTP and gRPC put before a name or
// take away. grpc-gateway makes the metadata key x of the header Grpc-Metadata-X,
// and of some others, such as Authorization, grpcgateway-authorization beside the
// key that everybody knows. It answers with Grpc-Metadata-X for a header x and
// with Grpc-Trailer-X for a trailer, Connect with Trailer-X for that.
var gatewayPrefixes = [...]string{"grpc-metadata-", "grpcgateway-", "grpc-trailer-", "trailer-"}

// gatewayPrefix returns how long such a prefix of name is, 0 if there is none.
func gatewayPrefix(name string) int {
	if name == "" || name[0]|0x20 != 'g' && name[0]|0x20 != 't' {
		return 0 // as for most names
	}
	for _, prefix := range gatewayPrefixes {
		if hasFoldedPrefix(name, prefix) {
			return len(prefix)
		}
	}
	return 0
}

// hasFoldedPrefix compares field names as the laxest server behind us would.
func hasFoldedPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if name[i] != prefix[i] && foldByte(name[i]) != foldByte(prefix[i]) {
			return false
		}
	}
	return true
}

// foldByte makes one of all ASCII that is neither letter nor digit, as CGI does
// in some servers (lighttpd, Apache httpd before 2.4).
func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c >= 0x80:
		return c
	}
	return '-'
}

// covers reports whether s owns everything that other names.
func (s FieldSet) covers(other FieldSet) bool {
	return containsAll(s.Names, other.Names) && containsAll(s.Prefixes, other.Prefixes) &&
		containsAll(s.Cookies, other.Cookies) && containsAll(s.Subprotocols, other.Subprotocols)
}

func (s FieldSet) empty() bool {
	return len(s.Names) == 0 && len(s.Prefixes) == 0 && len(s.Cookies) == 0 && len(s.Subprotocols) == 0
}

// in returns the part of s for which r has a value. Prefixes are not looked up:
// whoever reads by prefix implements [Presenter].
func (s FieldSet) in(r *Request) FieldSet {
	var found FieldSet
	for _, name := range s.Names {
		if len(r.Values(name)) > 0 {
			found.Names = append(found.Names, name)
		}
	}
	for _, name := range s.Cookies {
		if len(r.Cookies(name)) > 0 {
			found.Cookies = append(found.Cookies, name)
		}
	}
	for _, prefix := range s.Subprotocols {
		if len(r.Subprotocols(prefix)) > 0 {
			found.Subprotocols = append(found.Subprotocols, prefix)
		}
	}
	return found
}

func appendNew(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(list, s) })
}
