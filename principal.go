package authctx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Principal is an authenticated caller: who it is, what it was granted, how
// long that holds and how much of it was proved.
//
// A Principal is an immutable handle. Copying it is free, it may be shared and
// used concurrently, and nothing that holds one can change it. The zero
// Principal is nobody: [Principal.IsZero] reports it, and [Authorize], policies
// and the rules of this package answer it with [NoCredentials].
//
// Issuer and subject together name the caller; a subject alone is not an
// identity, because two issuers may use the same one (RFC 7519 section 4.1.2).
// Compare principals with [Principal.Equal]; == does not compile.
//
// Marshaled forms are for logs and cannot be read back. To store a principal, store its
// [Principal.Attributes], and pass them to [New] again only if nobody but this program
// can have written them.
type Principal struct {
	_ [0]func() // not comparable; first, because it would take room behind
	a *attributes
}

// New returns the principal that attrs describe. It copies what attrs hold and
// keeps nothing of the caller's.
//
// The error names every attribute that is missing or malformed: issuer and
// subject are required, text must be valid UTF-8, list elements must not be
// empty, and times must lie between 1970 and 9999. Times are cut to whole
// seconds, so that an end never moves into the future on its way over the wire.
// Claims are taken as they are: [Principal.DecodeClaims] fails if they are not
// JSON.
func New(attrs Attributes) (Principal, error) {
	rec := &record{body: attrs}
	rec.body.own()
	return rec.seal()
}

// attributes is what a handle points to; what it holds never changes after
// seal. Two pointers deep, fmt finds nothing to print even where a wrong verb
// makes it look into unexported fields.
type attributes struct {
	*Attributes
	encoded [2]atomic.Pointer[encodedFields] // what FieldsPropagators last made of it
}

// record is a principal's memory, in one piece.
type record struct {
	attributes
	body Attributes
}

// seal makes a principal of a record whose body nobody else holds.
func (r *record) seal() (Principal, error) {
	if err := r.body.validate(); err != nil {
		return Principal{}, err
	}
	r.body.normalize()
	r.attributes.Attributes = &r.body
	return Principal{a: &r.attributes}, nil
}

// nobody is what the zero Principal reads.
var nobody = &attributes{Attributes: new(Attributes)}

func (p Principal) get() *attributes {
	if p.a == nil {
		return nobody
	}
	return p.a
}

// IsZero reports whether p is the zero Principal, nobody.
func (p Principal) IsZero() bool { return p.a == nil }

// Issuer returns who vouches for the subject, as a URL in most systems.
func (p Principal) Issuer() string { return p.get().Issuer }

// Subject returns the caller's identifier, unique within the issuer.
func (p Principal) Subject() string { return p.get().Subject }

// Kind returns whether the caller is a user or a service.
func (p Principal) Kind() Kind { return p.get().Kind }

// Provenance returns how the principal is known. For the zero Principal it is
// [Asserted], the weakest.
func (p Principal) Provenance() Provenance { return p.get().Provenance }

// Name returns a name for people to read. It identifies nobody.
func (p Principal) Name() string { return p.get().Name }

// Email returns an e-mail address, which may change hands and identifies
// nobody.
func (p Principal) Email() string { return p.get().Email }

// Tenant returns the tenant or organization the caller acts in, as the issuer says.
// With several issuers, each of them can name any tenant.
func (p Principal) Tenant() string { return p.get().Tenant }

// ClientID returns the OAuth client the credential was issued to (RFC 9068
// section 2.2).
func (p Principal) ClientID() string { return p.get().ClientID }

// SessionID returns the login session ("sid", OpenID Connect).
func (p Principal) SessionID() string { return p.get().SessionID }

// TokenID returns the identifier of the credential ("jti", RFC 7519 section
// 4.1.7).
func (p Principal) TokenID() string { return p.get().TokenID }

// ACR returns the authentication context class of the login (RFC 9068 section
// 2.2.1).
func (p Principal) ACR() string { return p.get().ACR }

// AMR returns a copy of the methods used to log in (RFC 8176).
func (p Principal) AMR() []string { return slices.Clone(p.get().AMR) }

// Roles returns a copy of the caller's roles, in the order given.
func (p Principal) Roles() []string { return slices.Clone(p.get().Roles) }

// Permissions returns a copy of the caller's permissions and entitlements.
func (p Principal) Permissions() []string { return slices.Clone(p.get().Permissions) }

// Scopes returns a copy of the scopes the client was granted.
func (p Principal) Scopes() []string { return slices.Clone(p.get().Scopes) }

// Groups returns a copy of the caller's groups. See
// [Principal.GroupsIncomplete] before concluding anything from an absence.
func (p Principal) Groups() []string { return slices.Clone(p.get().Groups) }

// GroupsIncomplete reports that the issuer left groups out, for example because
// there were too many. A missing group then proves nothing.
func (p Principal) GroupsIncomplete() bool { return p.get().GroupsIncomplete }

// HasRole reports whether the caller has exactly this role. It does not
// allocate; neither do the other Has methods.
func (p Principal) HasRole(role string) bool { return has(p.get().Roles, role) }

// HasPermission reports whether the caller has exactly this permission.
func (p Principal) HasPermission(name string) bool { return has(p.get().Permissions, name) }

// HasScope reports whether the client was granted exactly this scope.
func (p Principal) HasScope(scope string) bool { return has(p.get().Scopes, scope) }

// HasGroup reports whether the group is listed; see
// [Principal.GroupsIncomplete].
func (p Principal) HasGroup(group string) bool { return has(p.get().Groups, group) }

// AuthTime returns when the caller last logged in; zero when unknown.
func (p Principal) AuthTime() time.Time { return p.get().AuthTime }

// IssuedAt returns when the credential was issued; zero when unknown.
func (p Principal) IssuedAt() time.Time { return p.get().IssuedAt }

// Expires returns the effective end of the credential: the first second at
// which nobody may act on it any more. Whoever verified the credential computed
// it once, leeway included; nothing adds leeway to it again. Servers of httpctx
// and grpcctx refuse the caller from then on, and propagators do not write it.
// Zero means that the source set no end.
func (p Principal) Expires() time.Time { return p.get().Expires }

// ExpiredAt reports whether the effective end has come at time now.
func (p Principal) ExpiredAt(now time.Time) bool {
	end := p.get().Expires
	return !end.IsZero() && !now.Before(end)
}

// AsOf returns when what the principal says was last known to be true, for work
// that is done long after it was asked for; zero means that it was established
// for the present call. A rule may compare it with a limit of its own.
func (p Principal) AsOf() time.Time { return p.get().AsOf }

// Actor returns the party that acts on the caller's behalf (RFC 8693 section 4.1) and
// whether there is one. Of a chain it is the outermost, the only one that access
// decisions may consider. It is the caller's issuer that says who acts, and it may name
// an actor of any issuer. So a rule that asks for an actor asks for the caller's [Issuer]
// too, unless all issuers are believed alike.
func (p Principal) Actor() (Actor, bool) {
	if chain := p.get().Actors; len(chain) > 0 {
		return chain[0], true
	}
	return Actor{}, false
}

// Actors returns a copy of the whole chain, outermost first. All but the first
// are history.
func (p Principal) Actors() []Actor { return slices.Clone(p.get().Actors) }

// Extra returns a copy of the values of an extra attribute, nil when it is
// absent.
func (p Principal) Extra(key string) []string { return slices.Clone(p.get().Extra[key]) }

// DecodeClaims decodes the verified claims into v as [json.Unmarshal] does, which
// takes "role" and "ROLE" for the same field of a struct. Where an object has
// both it fails, because either could be meant, unless v is a pointer to a
// map[string]any, a map[string]json.RawMessage, a nil any or a
// [json.RawMessage].
//
// It fails when there are none: claims stay in the process that verified them,
// so only a principal whose token was verified here has them. Decoding happens
// on every call; keep the result if it is needed often.
func (p Principal) DecodeClaims(v any) error {
	claims := p.get().Claims
	if claims == "" {
		return errors.New("authctx: principal has no verified claims in this process")
	}
	return decodeClaims(claims, v)
}

// Attributes returns a deep copy of everything p holds, for making a changed
// principal with [New]. If you change what was verified, lower the provenance too.
func (p Principal) Attributes() Attributes {
	a := *p.get().Attributes
	a.own()
	return a
}

// Equal reports whether p and q hold the same attributes, list order, claims
// and provenance included. Two zero principals are equal.
func (p Principal) Equal(q Principal) bool {
	if p.a == q.a {
		return true
	}
	return p.a != nil && q.a != nil && p.a.equal(q.a.Attributes)
}

// String names the caller for logs: kind, subject, issuer and provenance, and
// no other attribute. A subject or issuer with spaces, quotes or what cannot be
// printed, such as line breaks, is quoted as Go does, so that no name passes for
// more than that.
func (p Principal) String() string {
	if p.IsZero() {
		return "nobody"
	}
	a := p.a
	return a.Kind.String() + " " + quoted(a.Subject) + " of " + quoted(a.Issuer) + " (" + a.Provenance.String() + ")"
}

// quoted returns a name as one word that holds no more than can be seen.
func quoted(name string) string {
	if name == "" || !validUTF8(name) || strings.ContainsFunc(name, notInWords) {
		return strconv.Quote(name)
	}
	return name
}

func notInWords(r rune) bool {
	const blank = " \"\u115f\u1160\u2800\u3164\uffa0" // Unicode takes the fillers for letters
	return !strconv.IsPrint(r) || strings.ContainsRune(blank, r)
}

// MarshalJSON names the caller as [Principal.LogValue] does, for logs.
func (p Principal) MarshalJSON() ([]byte, error) {
	if p.IsZero() {
		return []byte(`"nobody"`), nil
	}
	return json.Marshal(struct {
		Issuer     string `json:"issuer"`
		Subject    string `json:"subject"`
		Kind       string `json:"kind"`
		Provenance string `json:"provenance"`
	}{p.a.Issuer, p.a.Subject, p.a.Kind.String(), p.a.Provenance.String()})
}

// UnmarshalJSON fails always: a name in a document is no caller.
func (p *Principal) UnmarshalJSON([]byte) error {
	return errors.New("authctx: a Principal cannot be read from JSON; make one of Attributes with New")
}

// Format implements [fmt.Formatter], so that no verb shows more than String.
func (p Principal) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue implements [slog.LogValuer]. Like String it names the caller and
// shows no claim beyond that.
func (p Principal) LogValue() slog.Value {
	if p.IsZero() {
		return slog.StringValue("nobody")
	}
	a := p.a
	return slog.GroupValue(
		slog.String("issuer", a.Issuer),
		slog.String("subject", a.Subject),
		slog.String("kind", a.Kind.String()),
		slog.String("provenance", a.Provenance.String()),
	)
}

// has is byte-exact: no folding, no patterns. The empty string is in no list.
func has(list []string, s string) bool { return s != "" && slices.Contains(list, s) }
