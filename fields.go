package authctx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// plainFieldPrefix begins every plain identity field of ours, known or not yet
// known.
const plainFieldPrefix = "x-user-"

// FieldLayout says which field carries which attribute. Writing, reading and
// stripping are all derived from one value, so they cannot disagree. Subject is
// required. Names are in lower case, and not those of fields that HTTP, gRPC or
// another credential needs.
//
// An attribute with an empty name does not travel. What that means depends on it:
//
//   - Without Kind, Actors or AsOf, a service, a caller with actors or a caller of
//     deferred work would be read as somebody else, or as of another time. Such a
//     caller is not written at all.
//   - Without Expires, the reader does not learn the caller's end: the writer alone
//     checks it, for each request.
//   - Without GroupsIncomplete, an incomplete list of groups arrives as a complete
//     one. Rules must not conclude anything from a missing group.
//   - Without Scopes, a caller arrives without any. A minter of Transaction Tokens
//     decides anew, as for callers of an issuer that knows no scopes.
type FieldLayout struct {
	Subject, Issuer, Kind             string
	Name, Email, Tenant               string
	ClientID                          string
	SessionID, TokenID                string
	ACR, AMR                          string
	Roles, Permissions                string
	Scopes, Groups                    string
	GroupsIncomplete                  string
	AuthTime, IssuedAt, Expires, AsOf string
	Actors, Extra                     string

	// ExtraPrefix carries each extra attribute in a field of its own, named by
	// the prefix and the percent-encoded key. It excludes Extra.
	ExtraPrefix string
	// Repeat writes a list as one field per element instead of one field with
	// commas.
	Repeat bool
	// Verbatim means that values are written as they are, without percent-encoding.
	// A value that would not be read back byte for byte is an error, such as one with
	// space at an end, or with a comma in a list that is joined by commas. Space at an
	// end of a value that arrives is [InvalidRequest] (RFC 9113 section 8.2.1). HTTP
	// and messages carry UTF-8; gRPC carries printable ASCII only, so a call for a
	// caller with anything else fails there.
	Verbatim bool
	// Nobody is the subject by which the writer says that nobody is calling, such as
	// "system:anonymous" in Kubernetes; empty means that every subject is somebody. It
	// is read as [NoCredentials], whatever the other fields say, and a caller of that
	// name is not written. [Event.Ignored] names the fields that came with it.
	Nobody string
	// OwnPrefix claims every field that begins with it: such fields are
	// stripped even when the layout gives them no meaning.
	OwnPrefix string
	// Also lists further fields that are stripped and neither read nor written.
	// [Event.Ignored] leaves them out when a caller was read. Fields of HTTP and of
	// credentials are refused here: list those in Strip of a server.
	Also []string
}

// PlainLayout returns the layout that this module uses unless told otherwise.
// Fields may be added in later versions; meanings never change.
//
// This is all that a reader in another language has to know, once it trusts the peer.
// Names begin with x-user-, in any letter case. Each means the attribute of the same
// name in [Attributes]:
//
//	id, issuer            text   the subject, and whose subject it is
//	kind                  word   user or service; user without it
//	name, email, tenant   text
//	client-id             text
//	session, token-id     text   SessionID, TokenID
//	acr                   text
//	amr                   list
//	roles, permissions    list
//	scopes, groups        list
//	groups-incomplete     word   true; there are more groups
//	auth-time, issued     time   AuthTime, IssuedAt
//	expires               time   the caller is refused from then on; no end without it
//	as-of                 time
//	actor                 pairs  issuer, space, subject; outermost first
//	extra                 pairs  key, "=", value; a key comes once for each value
//
// The values are:
//
//   - text: UTF-8, in which comma, "=", "%", space and every byte that is not printable
//     ASCII are written as %XX. Other writers may leave space and "=" as they are, so a
//     reader takes both. "+" is a plus.
//   - list: texts with commas between them, none of them empty. A reader cuts the list
//     first and decodes the texts then.
//   - pairs: a list in which each element is two texts, neither of them empty. The first
//     separator is the one that counts.
//   - time: Unix seconds, digits only, up to 253402300799.
//   - word: one of those given.
//
// An empty field is the same as an absent one. Space and tabs around a field or an
// element are dropped, so that a list of nothing else has an empty element. If any of
// these fields is there, id and issuer must be, too. No field may occur twice, not even a
// list. Whatever breaks a rule is refused as a whole, and so are fields beside a
// Txn-Token or x-user-deferred. Other names with the prefix mean nothing. In
// testdata/fields the repository has what a reader must read and what it must refuse.
func PlainLayout() FieldLayout {
	return FieldLayout{
		Subject:          "x-user-id",
		Issuer:           "x-user-issuer",
		Kind:             "x-user-kind",
		Name:             "x-user-name",
		Email:            "x-user-email",
		Tenant:           "x-user-tenant",
		ClientID:         "x-user-client-id",
		SessionID:        "x-user-session",
		TokenID:          "x-user-token-id",
		ACR:              "x-user-acr",
		AMR:              "x-user-amr",
		Roles:            "x-user-roles",
		Permissions:      "x-user-permissions",
		Scopes:           "x-user-scopes",
		Groups:           "x-user-groups",
		GroupsIncomplete: "x-user-groups-incomplete",
		AuthTime:         "x-user-auth-time",
		IssuedAt:         "x-user-issued",
		Expires:          "x-user-expires",
		AsOf:             "x-user-as-of",
		Actors:           "x-user-actor",
		Extra:            "x-user-extra",
		OwnPrefix:        plainFieldPrefix,
	}
}

// KubernetesLayout returns the fields of the Kubernetes authenticating proxy:
// X-Remote-User, X-Remote-Group once per group, and X-Remote-Extra-KEY.
//
// They have no room for an issuer, so writer and reader must be told it, nor for kind,
// actors, AsOf, scopes, GroupsIncomplete and the caller's end: [FieldLayout] says what
// that means. Keys with anything but lower-case letters, digits and hyphens become names
// with "%", which HTTP carries and gRPC does not. X-Remote-Uid is stripped and never
// used. A request of the user system:anonymous is one without credentials.
//
// The aggregator of a cluster shows a certificate that has only a common name, mostly
// front-proxy-client, from an authority of its own, the one in
// requestheader-client-ca-file. Trust the two together, as in the example: any other
// authority in ClientCAs can issue a certificate of that name to somebody else.
func KubernetesLayout() FieldLayout {
	return FieldLayout{
		Subject:     "x-remote-user",
		Groups:      "x-remote-group",
		ExtraPrefix: "x-remote-extra-",
		Repeat:      true,
		Verbatim:    true,
		Nobody:      "system:anonymous",
		OwnPrefix:   "x-remote-",
		Also:        []string{"x-remote-uid"},
	}
}

// OAuth2ProxyLayout returns the fields that oauth2-proxy adds to the request to
// an upstream: X-Forwarded-User, -Preferred-Username, -Email and -Groups.
//
// They have no room for an issuer, so writer and reader must be told it, nor for kind,
// actors, AsOf, scopes, GroupsIncomplete and the caller's end: [FieldLayout] says what
// that means. X-Forwarded-Access-Token is stripped and never used. This layout does not
// read Authorization. If oauth2-proxy passes the client's token on in it, a proxy behind
// needs Strip with FieldSet{Names: []string{"authorization"}}.
//
// oauth2-proxy removes from a client's request only the fields that it is configured to
// write. The client can write the others, such as Email with --prefer-email-to-user:
// empty them in the layout, and list them in Also. Never run oauth2-proxy with
// --skip-auth-strip-headers=false. With --extra-jwt-issuers, callers of several issuers
// arrive as callers of one, and "42" of one of them is "42" of all.
//
// oauth2-proxy joins groups by commas and does not encode a comma within a group:
// "CN=Admins,OU=x" arrives as two groups, and whoever may name a group at the provider
// can call it "x,admin" and be in admin. Do not rule by these groups unless the provider
// has none with commas and lets nobody make one.
func OAuth2ProxyLayout() FieldLayout {
	return FieldLayout{
		Subject:  "x-forwarded-user",
		Name:     "x-forwarded-preferred-username",
		Email:    "x-forwarded-email",
		Groups:   "x-forwarded-groups",
		Verbatim: true,
		Also:     []string{"x-forwarded-access-token"},
	}
}

func (l *FieldLayout) texts(a *Attributes) [9]slot[string] {
	return [...]slot[string]{
		{l.Subject, &a.Subject}, {l.Issuer, &a.Issuer}, {l.Name, &a.Name}, {l.Email, &a.Email},
		{l.Tenant, &a.Tenant}, {l.ClientID, &a.ClientID}, {l.SessionID, &a.SessionID},
		{l.TokenID, &a.TokenID}, {l.ACR, &a.ACR},
	}
}

func (l *FieldLayout) lists(a *Attributes) [5]slot[[]string] {
	return [...]slot[[]string]{
		{l.Roles, &a.Roles}, {l.Permissions, &a.Permissions}, {l.Scopes, &a.Scopes},
		{l.Groups, &a.Groups}, {l.AMR, &a.AMR},
	}
}

func (l *FieldLayout) times(a *Attributes) [4]slot[time.Time] {
	return [...]slot[time.Time]{
		{l.AuthTime, &a.AuthTime}, {l.IssuedAt, &a.IssuedAt}, {l.Expires, &a.Expires}, {l.AsOf, &a.AsOf},
	}
}

// names returns every name that is set.
func (l *FieldLayout) names() []string {
	var a Attributes
	var all []string
	for _, s := range l.texts(&a) {
		all = append(all, s.name)
	}
	for _, s := range l.lists(&a) {
		all = append(all, s.name)
	}
	for _, s := range l.times(&a) {
		all = append(all, s.name)
	}
	all = append(all, l.Kind, l.GroupsIncomplete, l.Actors, l.Extra)
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// validate reports names that cannot be fields or that clash.
func (l *FieldLayout) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authctx: field layout: "+format, args...))
	}
	if l.Subject == "" {
		bad("Subject is required")
	}
	if l.Extra != "" && l.ExtraPrefix != "" {
		bad("Extra and ExtraPrefix exclude each other")
	}
	if !exactName(l.Nobody) {
		bad("Nobody: %.200q "+exactRule, l.Nobody)
	}
	// Stripping would take a credential away, too, if it carried an attribute.
	// deferredField is left out: it begins like our own.
	taken := slices.Concat(neededFields[:], credentialFields[:], []string{TxnTokenField}, httpFields[:])
	l.validateNames(append(taken, deferredField), bad)
	validatePrefix(l.ExtraPrefix, append(taken, deferredField), bad)
	validatePrefix(l.OwnPrefix, taken, bad)
	return errors.Join(errs...)
}

// validateNames judges single names; taken are those that mean something else.
func (l *FieldLayout) validateNames(taken []string, bad func(format string, args ...any)) {
	seen := map[string]bool{}
	for _, name := range slices.Concat(l.names(), l.Also) {
		if !validFieldName(name) {
			bad("%q is not a lower-case field name%s", name, underscoreRemedy(name))
		}
		if slices.Contains(taken, name) {
			bad("%q has a meaning of its own", name)
		}
		if seen[name] {
			bad("%q is used twice", name)
		}
		seen[name] = true
		if l.ExtraPrefix != "" && hasFoldedPrefix(name, l.ExtraPrefix) {
			bad("%q begins like ExtraPrefix", name)
		}
	}
}

func validatePrefix(prefix string, taken []string, bad func(format string, args ...any)) {
	if prefix == "" {
		return
	}
	if !validFieldName(prefix) {
		bad("prefix %q is not the beginning of a lower-case field name%s", prefix, underscoreRemedy(prefix))
	}
	for _, name := range taken {
		if hasFoldedPrefix(name, prefix) {
			bad("prefix %q takes %q, which has a meaning of its own", prefix, name)
		}
	}
}

// credentialFields carry a credential in a way of their own, or what a server says of
// one. Those of this module are not among them.
var credentialFields = [...]string{
	"authentication-info", "authorization", "client-cert", "client-cert-chain", "cookie", "dpop", "dpop-nonce",
	"proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "sec-websocket-protocol", "set-cookie",
	"www-authenticate",
}

// httpFields are what clients, servers, caches and browsers say to one another
// (RFC 9110, RFC 9111, RFC 7239, RFC 6455, Fetch). A caller's attribute in one
// would be read as that, and stripping it would take that from handlers.
var httpFields = [...]string{
	"accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "access-control-request-headers",
	"access-control-request-method", "age", "allow", "cache-control", "content-disposition", "content-language",
	"content-location", "content-range", "date", "etag", "expect", "expires", "forwarded", "from", "http2-settings",
	"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location",
	"max-forwards", "origin", "pragma", "range", "referer", "retry-after", "sec-fetch-site", "sec-websocket-accept",
	"sec-websocket-extensions", "server", "user-agent", "vary", "via",
}

// validFieldName reports whether s is a name that HTTP and gRPC both carry
// unchanged. gRPC keeps "grpc-" for itself and reads "-bin" as binary.
func validFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && !hasFoldedPrefix(s, "grpc-") && (len(s) < 4 || s[len(s)-4:] != binarySuffix)
}

// underscoreRemedy says why "_" in s is refused and what to do, if there is one.
func underscoreRemedy(s string) string {
	if !strings.Contains(s, "_") {
		return ""
	}
	return `: many servers drop a field with "_" or take it for "-", so have the proxy write another name, mod_auth_openidc by OIDCClaimPrefix`
}

// Fields returns what the layout owns: its names and prefixes, and Also.
func (l FieldLayout) Fields() FieldSet {
	set := FieldSet{Names: slices.Concat(l.names(), l.Also)}
	for _, prefix := range []string{l.ExtraPrefix, l.OwnPrefix} {
		if prefix != "" {
			set.Prefixes = append(set.Prefixes, prefix)
		}
	}
	return set
}

// layoutOrPlain returns a checked copy of l, and ours when there is none.
func layoutOrPlain(l *FieldLayout) (FieldLayout, error) {
	if l == nil {
		return PlainLayout(), nil
	}
	copied := *l
	copied.Also = slices.Clone(l.Also)
	return copied, copied.validate()
}
