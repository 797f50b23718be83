package jwtauth

import (
	"maps"
	"slices"
)

// ClaimMapping says how the claims of a verified token become a principal. It
// is immutable, so that verifiers may share it.
//
// The functions named after a provider, such as [KeycloakClaims], return ready
// ones; [ClaimMapping.Config] lets one be changed:
//
//	cfg := jwtauth.KeycloakClaims("orders-api").Config()
//	cfg.Tenant = []jwtauth.ClaimSource{jwtauth.Claim("organization_id")}
//	mapping, err := jwtauth.NewClaimMapping(cfg)
//
// A claim that is null or empty counts as absent, but see [ClaimTest.Present]. The
// token is invalid if
//
//   - a claim, or an object on the path to it, has another JSON type than is asked
//     for: what a caller may do must not depend on what could not be read;
//   - the name of a claim differs in nothing but case from one that is read, even if
//     that one is absent: other readers would take one for the other. Where an issuer
//     writes "Groups" for "groups", map that spelling.
type ClaimMapping struct {
	cfg ClaimMappingConfig
}

// ClaimMappingConfig is the mutable twin of [ClaimMapping]. A field that is nil
// is read from where RFC 9068 and OpenID Connect put it; one that is empty but
// not nil is read from nowhere.
//
// "iat" and the actors in "act" (RFC 8693 section 4.1) are always read. An actor
// without an issuer has the token's. An actor without "sub" is its "client_id" if it
// has nothing else but "iss" and "act"; otherwise the token is invalid.
type ClaimMappingConfig struct {
	// Subject and the other texts are taken from the first source that is
	// present. A token without a subject is refused.
	//
	// A claim of the issuer's own, such as "user_id" or "org_id", may be a whole
	// number: its digits are the text, so that 123 and "123" are one caller, and 0 is
	// a caller too. "iss", "aud" and the claims named below must be strings, whatever
	// they are mapped to (RFC 7519 section 4.1, RFC 9068 section 2.2).
	//
	// A caller whose Subject is its ClientID is that client, a service. Where users
	// and clients have numbers that may be the same, give one of the sources an
	// AddPrefix.
	Subject   []ClaimSource // sub
	Name      []ClaimSource // name, preferred_username, username
	Email     []ClaimSource // email
	Tenant    []ClaimSource // tenant
	ClientID  []ClaimSource // client_id, azp, cid
	SessionID []ClaimSource // sid
	TokenID   []ClaimSource // jti
	ACR       []ClaimSource // acr

	// AuthTime is a date, in seconds since 1970 (RFC 7519 section 2), from the first
	// source that is present. Anything else there makes the token invalid. For AD FS,
	// which writes a text, leave it unread by a list that is empty and not nil; a rule
	// of [authctx.MaxAuthAge] then lets nobody of this issuer in.
	AuthTime []ClaimSource // auth_time

	// Roles and the other lists are merged from all sources, in order and each
	// value once.
	AMR         []ClaimSource // amr, of strings or of objects with "method"
	Roles       []ClaimSource // roles
	Permissions []ClaimSource // permissions, entitlements
	Scopes      []ClaimSource // scope, scp; strings split at spaces, never at commas
	Groups      []ClaimSource // groups

	// Extra are further lists by their key in the principal. Unlike the claims
	// themselves they travel with it. Numbers and booleans count as their text.
	Extra map[string][]ClaimSource

	// GroupsIncomplete are signs that the issuer left groups out; any suffices.
	GroupsIncomplete []ClaimTest
	// Service are signs that the caller is a program; any suffices. A subject
	// that is its own client is one too (RFC 9068 section 5).
	Service []ClaimTest
	// clientSuffix is what stands behind the client in the subject of a program.
	clientSuffix string
	// clientAlone takes the client for the subject where nothing is said of a
	// person, see [IntrospectorConfig.ClientWithoutSubject].
	clientAlone bool
	// Require must all hold and of Refuse none, or the token is one of another
	// kind.
	Require, Refuse []ClaimTest

	// spiffe takes the issuer from the subject, which must be a SPIFFE ID: the
	// trust domain, as "spiffe://example.org". "iss", which SPIFFE leaves
	// optional, is then ignored.
	spiffe bool
}

// ClaimSource is a place in the claims and how to read what is there, or a Constant.
type ClaimSource struct {
	// Path leads through objects, one member name each: a name may hold dots,
	// slashes and colons.
	Path []string
	// Form says how a list is written. Texts have the zero form only.
	Form ClaimForm
	// Member is what counts of an object in an array; "value" when empty (RFC
	// 7643 section 2.4).
	Member string
	// TrimPrefix is taken off values that start with it, and a value of which that
	// leaves nothing is absent. Then AddPrefix is put in front of every value.
	TrimPrefix, AddPrefix string
	// Constant, in place of all the above, is a value that every caller of the issuer
	// has, whatever the token says: the tenant that the issuer belongs to, or a role that
	// all have. As the last source of Tenant, it stands in if the claims before it are
	// absent. To a list it is always added, so that a constant scope comes on top of the
	// scopes of a token that was narrowed.
	//
	// Only Tenant, Roles, Permissions, Scopes, Groups and Extra may have one. The other
	// attributes tell callers, clients, logins and tokens apart, and a Constant would
	// make them all the same.
	Constant string
}

// Claim returns the source at that path in its zero form.
func Claim(path ...string) ClaimSource { return ClaimSource{Path: path} }

// ClaimForm is a way to write a list.
type ClaimForm uint8

const (
	// ClaimValues: an array, of strings or of objects; or one value as a string.
	ClaimValues ClaimForm = iota
	// ClaimWords: an array, or a string that spaces divide.
	ClaimWords
	// ClaimCommaList: an array, or a string that commas divide.
	ClaimCommaList
	// ClaimKeys: the member names of an object, or of the objects in an array.
	ClaimKeys
	// claimClerkPermissions: the permissions in the organization claim of Clerk's
	// second version, where bit masks spread "per" over the features in "fea".
	claimClerkPermissions

	claimFormEnd
)

// ClaimTest asks something of one claim. Exactly one of Values and Present is
// set.
type ClaimTest struct {
	Path []string
	// Values: the claim is one of these strings or an array that holds one;
	// "true" and "false" stand for the booleans too. Anything but strings and
	// booleans, there or in the array, makes the token invalid.
	Values []string
	// Present: the claim is there, of whatever type, and not null. An empty one
	// is there.
	Present bool
}

// unmade reports whether m is a zero ClaimMapping. Nil stands for the default.
func (m *ClaimMapping) unmade() bool { return m != nil && len(m.cfg.Subject) == 0 }

// unmadeClaims is what configurations say of a mapping that reads nothing.
const unmadeClaims = "Claims is a zero ClaimMapping, which reads nothing; NewClaimMapping makes one, and nil stands for RFC9068Claims"

// NewClaimMapping returns the mapping that cfg describes. It copies what cfg
// holds. The error names every field that cannot be meant.
func NewClaimMapping(cfg ClaimMappingConfig) (*ClaimMapping, error) {
	if err := cfg.validate().of("claim mapping"); err != nil {
		return nil, err
	}
	return newClaimMapping(cfg), nil
}

func newClaimMapping(cfg ClaimMappingConfig) *ClaimMapping {
	cfg = cfg.clone()
	defaults := rfc9068Config()
	def := maps.Collect(defaults.sources)
	for name, sources := range cfg.sources {
		if *sources == nil {
			*sources = *def[name]
		}
	}
	return &ClaimMapping{cfg: cfg}
}

// Config returns a deep copy of what m was made of, defaults filled in.
func (m *ClaimMapping) Config() ClaimMappingConfig { return m.cfg.clone() }

// rfc9068Config names the claims of RFC 7519, RFC 9068 and OpenID Connect, and
// what providers write instead of some.
func rfc9068Config() ClaimMappingConfig {
	return ClaimMappingConfig{
		Subject:     []ClaimSource{Claim("sub")},
		Name:        []ClaimSource{Claim("name"), Claim("preferred_username"), Claim("username")},
		Email:       []ClaimSource{Claim("email")},
		Tenant:      []ClaimSource{Claim("tenant")},
		ClientID:    []ClaimSource{Claim("client_id"), Claim("azp"), Claim("cid")},
		SessionID:   []ClaimSource{Claim("sid")},
		TokenID:     []ClaimSource{Claim("jti")},
		ACR:         []ClaimSource{Claim("acr")},
		AuthTime:    []ClaimSource{Claim("auth_time")},
		AMR:         []ClaimSource{{Path: []string{"amr"}, Member: "method"}},
		Roles:       []ClaimSource{Claim("roles")},
		Permissions: []ClaimSource{Claim("permissions"), Claim("entitlements")},
		Scopes:      []ClaimSource{{Path: []string{"scope"}, Form: ClaimWords}, {Path: []string{"scp"}, Form: ClaimWords}},
		Groups:      []ClaimSource{Claim("groups")},
	}
}

// texts yields the sources of every single-valued attribute.
func (c *ClaimMappingConfig) texts(yield func(string, *[]ClaimSource) bool) {
	_ = yield("Subject", &c.Subject) && yield("Name", &c.Name) && yield("Email", &c.Email) &&
		yield("Tenant", &c.Tenant) && yield("ClientID", &c.ClientID) && yield("SessionID", &c.SessionID) &&
		yield("TokenID", &c.TokenID) && yield("ACR", &c.ACR)
}

// lists yields the sources of every list attribute except Extra.
func (c *ClaimMappingConfig) lists(yield func(string, *[]ClaimSource) bool) {
	_ = yield("AMR", &c.AMR) && yield("Roles", &c.Roles) && yield("Permissions", &c.Permissions) &&
		yield("Scopes", &c.Scopes) && yield("Groups", &c.Groups)
}

// sources yields what texts and lists do, and those of the one date.
func (c *ClaimMappingConfig) sources(yield func(string, *[]ClaimSource) bool) {
	for _, part := range []func(func(string, *[]ClaimSource) bool){c.texts, c.lists} {
		for name, s := range part {
			if !yield(name, s) {
				return
			}
		}
	}
	yield("AuthTime", &c.AuthTime)
}

// tests yields every list of tests.
func (c *ClaimMappingConfig) tests(yield func(string, *[]ClaimTest) bool) {
	_ = yield("GroupsIncomplete", &c.GroupsIncomplete) && yield("Service", &c.Service) &&
		yield("Require", &c.Require) && yield("Refuse", &c.Refuse)
}

func (c ClaimMappingConfig) clone() ClaimMappingConfig {
	for _, sources := range c.sources {
		*sources = cloneSources(*sources)
	}
	if c.Extra != nil {
		extra := make(map[string][]ClaimSource, len(c.Extra))
		for key, sources := range c.Extra {
			extra[key] = cloneSources(sources)
		}
		c.Extra = extra
	}
	for _, tests := range c.tests {
		*tests = slices.Clone(*tests)
		for i, t := range *tests {
			(*tests)[i].Path, (*tests)[i].Values = slices.Clone(t.Path), slices.Clone(t.Values)
		}
	}
	return c
}

// cloneSources keeps nil and empty apart, which mean different things.
func cloneSources(sources []ClaimSource) []ClaimSource {
	sources = slices.Clone(sources)
	for i := range sources {
		sources[i].Path = slices.Clone(sources[i].Path)
	}
	return sources
}
