package jwtauth

import (
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/spiffeid"
	"github.com/authctx/authctx/internal/strictjson"
)

// attributes fills in what verified claims say of a caller of this issuer.
// IssuedAt, Expires, Claims and Provenance are left to whoever verified them.
// Lists are appended to *all and are parts of it; the texts are substrings of
// doc's source.
func (m *ClaimMapping) attributes(a *authctx.Attributes, doc *strictjson.Doc, issuer string, all *[]string) error {
	r := claimReader{root: doc.Root(), all: *all}
	defer func() { *all = r.all }()
	if err := m.checkKind(&r); err != nil {
		return err
	}
	a.Issuer = issuer
	r.texts(&m.cfg, a)
	r.lists(&m.cfg, a)
	a.AuthTime = r.date(m.cfg.AuthTime)
	a.Actors = r.actors(issuer)
	a.GroupsIncomplete = r.anyHolds(m.cfg.GroupsIncomplete)
	if m.cfg.clientAlone && a.Subject == "" && namesNoPerson(r.root, a) {
		a.Subject = a.ClientID
	}
	ownClient := a.ClientID != "" && strings.TrimSuffix(a.Subject, m.cfg.clientSuffix) == a.ClientID
	if ownClient || r.anyHolds(m.cfg.Service) {
		a.Kind = authctx.Service
	}
	if a.Subject == "" {
		r.fail(m.cfg.Subject[0].Path, "is missing")
	}
	if r.err != nil {
		return refusedClaim(r.err)
	}
	return nil
}

// namesNoPerson reports whether claims without a subject may be those of a token
// that a client got for itself. No list of what names a user is complete: that
// the server names one is for the operator to know.
func namesNoPerson(root strictjson.Value, a *authctx.Attributes) bool {
	for _, name := range [...]string{"sub", "username", "auth_time"} {
		if root.Get(name).Exists() {
			return false
		}
	}
	return a.Name == "" && a.Email == "" && a.SessionID == "" && a.AuthTime.IsZero() && len(a.Actors) == 0
}

// checkKind refuses tokens of another kind than m is about.
func (m *ClaimMapping) checkKind(r *claimReader) error {
	for i := range m.cfg.Require {
		if !r.holds(&m.cfg.Require[i]) {
			return r.otherKind(m.cfg.Require[i].Path)
		}
	}
	for i := range m.cfg.Refuse {
		if r.holds(&m.cfg.Refuse[i]) {
			return r.otherKind(m.cfg.Refuse[i].Path)
		}
	}
	return nil
}

// otherKind refuses a token for what it says of its kind, or because that cannot
// be read.
func (r *claimReader) otherKind(path []string) error {
	if r.err != nil {
		return refusedClaim(r.err)
	}
	return &authctx.Error{Reason: authctx.WrongType, Cause: &claimError{path, "is not that of this kind of token"}}
}

func refusedClaim(cause error) error {
	return &authctx.Error{Reason: authctx.InvalidToken, Cause: cause}
}

// issuer returns the issuer that the claims name, and false when they name none
// in the way they must. It looks at nothing else, so it may be asked before
// anything was verified.
func (m *ClaimMapping) issuer(doc *strictjson.Doc) (string, bool) {
	if !m.cfg.spiffe {
		iss, _ := doc.Get("iss").Text()
		return iss, iss != ""
	}
	id, _ := doc.Get("sub").Text()
	return trustDomain(id)
}

// errNoIssuer says why issuer found none.
func (m *ClaimMapping) errNoIssuer() error {
	if m.cfg.spiffe {
		return errNoSPIFFEID
	}
	return errIssuerType
}

// trustDomain returns the trust domain of a workload's SPIFFE ID as an ID of its
// own, without path (SPIFFE-ID section 2.3).
func trustDomain(id string) (string, bool) {
	domain, path, ok := spiffeid.Split(id)
	if !ok || path == "" {
		return "", false
	}
	return id[:len(spiffeid.Scheme)+len(domain)], true
}

// names returns the top-level claims that m reads besides decidingClaims, some
// twice, for refusing other spellings of them.
func (m *ClaimMapping) names() []string {
	names := []string{"auth_time", "act"}
	for _, sources := range m.cfg.sources {
		names = appendNames(names, *sources)
	}
	for _, sources := range m.cfg.Extra {
		names = appendNames(names, sources)
	}
	for _, tests := range m.cfg.tests {
		for _, t := range *tests {
			names = append(names, t.Path[0])
		}
	}
	return names
}

func appendNames(names []string, sources []ClaimSource) []string {
	for _, s := range sources {
		if s.Constant == "" {
			names = append(names, s.Path[0])
		}
		if s.Form == claimClerkPermissions {
			names = append(names, "fea")
		}
	}
	return names
}

// claimError says what is wrong with a claim, by its name and never its value.
type claimError struct {
	path    []string
	problem string
}

func (e *claimError) Error() string {
	return "jwtauth: claim " + strings.Join(e.path, ".") + " " + e.problem
}

// claimReader reads claims into attributes and remembers the first problem.
type claimReader struct {
	root strictjson.Value
	all  []string // backs every list
	err  error
}

func (r *claimReader) fail(path []string, problem string) {
	if r.err == nil {
		r.err = &claimError{path, problem}
	}
}

func (r *claimReader) texts(c *ClaimMappingConfig, a *authctx.Attributes) {
	a.Subject = r.text(c.Subject)
	a.Name = r.text(c.Name)
	a.Email = r.text(c.Email)
	a.Tenant = r.text(c.Tenant)
	a.ClientID = r.text(c.ClientID)
	a.SessionID = r.text(c.SessionID)
	a.TokenID = r.text(c.TokenID)
	a.ACR = r.text(c.ACR)
}

func (r *claimReader) lists(c *ClaimMappingConfig, a *authctx.Attributes) {
	a.AMR = r.list(c.AMR, false)
	a.Roles = r.list(c.Roles, false)
	a.Permissions = r.list(c.Permissions, false)
	a.Scopes = r.list(c.Scopes, false)
	a.Groups = r.list(c.Groups, false)
	for key, sources := range c.Extra {
		if values := r.list(sources, true); len(values) > 0 {
			if a.Extra == nil {
				a.Extra = make(map[string][]string, len(c.Extra))
			}
			a.Extra[key] = values
		}
	}
}

// date returns the first NumericDate that is there, zero when none is.
func (r *claimReader) date(sources []ClaimSource) time.Time {
	for i := range sources {
		v := r.follow(sources[i].Path)
		if !v.Exists() {
			continue
		}
		t, ok := v.Date()
		if !ok {
			r.fail(sources[i].Path, "is not a date")
		}
		return t
	}
	return time.Time{}
}

// actors reads who acts on the subject's behalf, outermost first (RFC 8693
// section 4.1). An actor that cannot be named must not look like none.
func (r *claimReader) actors(issuer string) []authctx.Actor {
	var actors []authctx.Actor
	for v := r.root.Get("act"); v.Exists(); v = v.Get("act") {
		actor := authctx.Actor{Issuer: issuer, Subject: actorSubject(v)}
		if iss := v.Get("iss"); iss.Exists() {
			actor.Issuer, _ = iss.Text()
		}
		if actor.Subject == "" || actor.Issuer == "" {
			r.fail([]string{"act"}, "has an actor without a name")
			return nil
		}
		actors = append(actors, actor)
	}
	return actors
}

// actorSubject returns what an actor is called, empty when that cannot be told. One
// of whom nothing is said but the client is that client, which is its own subject
// (RFC 9068 section 2.2). Any other member may name a person who uses the client.
func actorSubject(act strictjson.Value) string {
	name := act.Get("sub")
	if !name.Exists() {
		for member, v := range act.Members() {
			if v.Exists() && member != "client_id" && member != "iss" && member != "act" {
				return ""
			}
		}
		name = act.Get("client_id")
	}
	text, _ := name.Text()
	return text
}

// follow returns the value at a path, Missing when there is none. What should
// lead there and is no object must not look like nothing.
func (r *claimReader) follow(path []string) strictjson.Value {
	v := r.root
	for i, name := range path {
		if i > 0 && v.Exists() && v.Kind() != strictjson.Object {
			r.fail(path[:i], "is not an object")
		}
		v = v.Get(name)
	}
	return v
}

func (r *claimReader) anyHolds(tests []ClaimTest) bool {
	for i := range tests {
		if r.holds(&tests[i]) {
			return true
		}
	}
	return false
}

func (r *claimReader) holds(t *ClaimTest) bool {
	v := r.follow(t.Path)
	switch {
	case t.Present:
		return v.Exists()
	case v.Kind() != strictjson.Array:
		return r.isOneOf(t, v)
	}
	found := false
	for e := range v.Elements() {
		found = r.isOneOf(t, e) || found
	}
	return found
}

// isOneOf reports whether v is one of the values asked for. What cannot be one
// must not look like another.
func (r *claimReader) isOneOf(t *ClaimTest, v strictjson.Value) bool {
	switch v.Kind() {
	case strictjson.String:
		text, _ := v.Text()
		return slices.Contains(t.Values, text)
	case strictjson.True, strictjson.False:
		return slices.Contains(t.Values, v.Raw())
	case strictjson.Number, strictjson.Array, strictjson.Object:
		r.fail(t.Path, "is not text or a boolean, or a list of them")
	}
	return false
}
