package jwtauth

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/strictjson"
)

// MultiVerifier verifies the tokens of several issuers, each by the rules, keys
// and claim mapping of its own [Verifier]. Which one is decided by the exact
// "iss" of the token, before any key is looked up, and that verifier then checks
// it as if it were alone (RFC 8725 section 3.8). What the issuers say of roles and
// tenants counts the same, whoever says it: see [ResolvingVerifier].
//
// It has one memory of verified tokens, as large as those of its members
// together, and does not use theirs. It is safe for concurrent use.
type MultiVerifier struct {
	front   front
	issuers issuerTable
}

// issuerTable finds the policy for an "iss".
type issuerTable struct {
	exact  map[string]*issuerPolicy
	others []*issuerPolicy // whose issuer is a template or a SPIFFE trust domain
	parser *strictjson.Parser

	origins map[any]bool // of keys, each of which serves one issuer
	unknown authctx.Error
}

// NewMultiVerifier returns a verifier over those given. It is an error to name an issuer
// twice, also by an alias, to give two issuers the same key source or the same static
// key, under whatever ID, or to give nil. The addresses of [RemoteKeys] are not compared:
// a provider may sign for several issuers with the same keys, as Firebase does for all
// projects. Whoever has the private keys can then name any of these issuers.
func NewMultiVerifier(first *Verifier, rest ...*Verifier) (*MultiVerifier, error) {
	m := &MultiVerifier{issuers: issuerTable{exact: map[string]*issuerPolicy{}, origins: map[any]bool{}}}
	var problems problems
	var algorithms []Algorithm
	var names []string
	maxBytes, cache := 0, CacheConfig{Disabled: true}
	for i, v := range append([]*Verifier{first}, rest...) {
		if absent.Unmade(v) {
			problems.add("verifier %d is nil or was made by no constructor", i)
			continue
		}
		m.issuers.add(v.policy, &problems)
		names = append(names, v.policy.spellings()...)
		algorithms, maxBytes = union(algorithms, v.policy.Algorithms), max(maxBytes, v.policy.MaxTokenBytes)
		if c := v.policy.Cache; !c.Disabled {
			cache = CacheConfig{MaxEntries: sum(cache.MaxEntries, c.MaxEntries), MaxBytes: sum(cache.MaxBytes, c.MaxBytes)}
		}
	}
	if err := problems.of("multi verifier"); err != nil {
		return nil, err
	}
	m.issuers.parser = claimsParser(nil)
	m.issuers.unknown = expected(authctx.WrongIssuer, "iss is none of %q", names)
	m.front.init(maxBytes, algorithms, cache)
	return m, nil
}

// Verify is [Verifier.Verify].
func (m *MultiVerifier) Verify(ctx context.Context, token string) (authctx.Principal, error) {
	found, _, err := m.front.verify(ctx, &m.issuers, token)
	return plain(found, err)
}

// VerifyToken implements [TokenVerifier].
func (m *MultiVerifier) VerifyToken(ctx context.Context, token string) (VerifiedToken, error) {
	return result(m.front.verify(ctx, &m.issuers, token))
}

func (t *issuerTable) add(p *issuerPolicy, wrong *problems) {
	for _, name := range p.spellings() {
		same := func(q *issuerPolicy) bool { return q.Issuer == name }
		if t.exact[name] != nil || slices.ContainsFunc(t.others, same) {
			wrong.add("two verifiers for the issuer %q", name)
			return
		}
	}
	origins := keyOrigins(p.Keys)
	if slices.ContainsFunc(origins, func(o any) bool { return t.origins[o] }) {
		wrong.add("the issuer %q shares its Keys with another; where the two are spellings of one issuer, IssuerAliases has the other", p.Issuer)
		return
	}
	for _, o := range origins {
		t.origins[o] = true
	}
	if p.issuer.templated || strings.HasPrefix(p.Issuer, "spiffe://") {
		t.others = append(t.others, p)
	} else {
		t.exact[p.Issuer] = p
	}
	for _, alias := range p.IssuerAliases {
		t.exact[alias] = p
	}
}

// keyOrigins returns what two key sources have in common if they share keys, as
// far as that can be told. The caller only reads it.
func keyOrigins(source KeySource) []any {
	origins := []any{source}
	if s, ok := source.(interface{ origins() []any }); ok {
		origins = s.origins()
	}
	return slices.DeleteFunc(origins, func(o any) bool { return !reflect.ValueOf(o).Comparable() })
}

// choose implements chooser. A whole name in "iss" goes before anything else
// that fits. A template that fits but for the tenant comes last: it is its policy
// that says what is wrong with that.
func (t *issuerTable) choose(_ context.Context, s *scratch) (*issuerPolicy, error) {
	if err := s.parseClaims(t.parser); err != nil {
		return nil, err
	}
	iss, _ := s.doc.Get("iss").Text()
	if p := t.exact[iss]; p != nil {
		return p, nil
	}
	var named *issuerPolicy
	for _, p := range t.others {
		own, ok := p.Claims.issuer(&s.doc)
		if !ok {
			continue
		}
		switch err := p.issuer.check(own, &s.doc); {
		case err == nil:
			return p, nil
		case err == errTenant && named == nil:
			named = p
		}
	}
	if named == nil {
		return nil, &t.unknown
	}
	return named, nil
}

// sum is a + b, or as much as there can be.
func sum(a, b int) int { return a + min(b, math.MaxInt-a) }

func union(list, more []Algorithm) []Algorithm {
	for _, v := range more {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}
