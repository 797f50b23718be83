package jwtauthtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/jwtauth"
)

// Audience is what tokens are for unless [Options] say otherwise.
const Audience = "https://api.test"

// Options configure [NewIssuer]. The zero value and nil are complete.
type Options struct {
	// Algorithm signs; empty means ES256. It must not be an HMAC one, which has
	// no key to publish: see [Token.SignWith]. "Ed25519" is EdDSA under its other
	// name, which tokens have then.
	Algorithm jwtauth.Algorithm
	// Audience is "aud"; empty means [Audience].
	Audience string
	// Lifetime is how long tokens are good, whole seconds between 1 s and 24 hours;
	// zero means five minutes.
	Lifetime time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Issuer is an identity provider: an HTTP server on a loopback port with a key
// set and the documents that lead to it, an introspection endpoint, and the keys to
// sign tokens. It is safe for concurrent use, by subtests too: see [Issuer.For].
type Issuer struct {
	tb testing.TB // the test that fails when something cannot be done
	*provider
}

// provider is what all tests of an issuer share.
type provider struct {
	opts   Options
	server *httptest.Server

	mu          sync.Mutex
	keys        []*key // all published; the last one signs
	never       *key   // see unpublished
	set         *jwtauth.SigningKeys
	issuer      *jwtauth.Issuer
	opaque      map[string]string // introspection answers by token
	broken      http.Handler      // nil when all is well
	fetches     int
	discoveries int
}

// maxKeys is how many keys verifiers take of one set.
const maxKeys = 100

// NewIssuer starts an issuer, which stops when the test ends.
func NewIssuer(tb testing.TB, opts *Options) *Issuer {
	wantTest(tb)
	tb.Helper()
	i := &Issuer{tb, &provider{}}
	if opts != nil {
		i.opts = *opts
	}
	if i.opts.Algorithm == "" {
		i.opts.Algorithm = jwtauth.ES256
	}
	if i.opts.Audience == "" {
		i.opts.Audience = Audience
	}
	if i.opts.Lifetime == 0 {
		i.opts.Lifetime = 5 * time.Minute
	}
	if i.opts.Now == nil {
		i.opts.Now = time.Now
	}
	i.server = httptest.NewServer(http.HandlerFunc(i.serve))
	tb.Cleanup(func() {
		i.server.CloseClientConnections() // what hangs must not keep Close waiting
		i.server.Close()
	})
	i.sign(newKey(tb, i.opts.Algorithm))
	return i
}

// For returns the same issuer for a subtest, parallel ones included: what cannot
// be done, here or with what is made here, ends that test and not the one that
// started the issuer.
func (i *Issuer) For(tb testing.TB) *Issuer {
	wantTest(tb)
	return &Issuer{tb, i.provider}
}

// wantTest panics without a test, which nothing else could end.
func wantTest(tb testing.TB) {
	if tb == nil {
		panic("jwtauthtest: the test is nil; pass the *testing.T or *testing.B that is running")
	}
}

// URL returns the issuer identifier, under which the discovery documents are.
func (i *Issuer) URL() string { return i.server.URL }

// JWKSURL returns where the key set is.
func (i *Issuer) JWKSURL() string { return i.current().JWKSURL() }

// Rotate lets a new key sign at once and publishes it beside the older ones,
// without the notice that a careful issuer would give. DropOldKeys makes room
// after 99 of them.
//
// A service looks for unknown keys only once in the CoolDown of its
// [jwtauth.RemoteKeysConfig], which is 10 seconds by default. If it did so a moment ago,
// for the key of an earlier rotation or for one that [Token.Bad] made up, it answers
// tokens of the new key with 503. Where tests rotate, give it a CoolDown of
// [time.Nanosecond].
func (i *Issuer) Rotate() {
	i.tb.Helper()
	next := newKey(i.tb, i.opts.Algorithm)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.keys) == maxKeys {
		i.tb.Fatalf("jwtauthtest: %d keys are published, which is all that verifiers take: call DropOldKeys first", maxKeys)
	}
	i.sign(append(slices.Clone(i.keys), next)...)
}

// DropOldKeys publishes only the key that signs.
func (i *Issuer) DropOldKeys() {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sign(i.keys[len(i.keys)-1])
}

// Handler returns a handler that answers as the issuer does when nothing is
// broken.
func (i *Issuer) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == introspectionPath {
			i.introspect(w, r)
			return
		}
		i.current().Handler().ServeHTTP(w, r)
	})
}

// Break answers every request with h from now on: one of [Down], [Hang], [Slow],
// [Status], [Junk], [NoKeys] and [Oversized], or any handler.
func (i *Issuer) Break(h http.Handler) {
	i.tb.Helper()
	if absent.Nil(h) {
		i.tb.Fatalf("jwtauthtest: Break was given a nil handler, which could not answer: Repair ends a fault")
	}
	i.setBroken(h)
}

// Repair ends what Break began.
func (i *Issuer) Repair() { i.setBroken(nil) }

func (i *Issuer) setBroken(h http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = h
}

// Fetches returns how often the key set was asked for, broken answers
// included.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Discoveries returns how often a discovery document was asked for, broken
// answers included.
func (i *Issuer) Discoveries() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.discoveries
}

// Token returns a good access token for [User].
func (i *Issuer) Token() *Token {
	i.tb.Helper()
	return i.TokenFor(User(i.tb).Attributes())
}

// TokenFor returns a good access token for the caller that a describes, as
// [jwtauth.Issuer.Issue] would; a's issuer becomes this one, and its end is left to
// Lifetime. Subject is required, and ClientID too unless a is a service.
func (i *Issuer) TokenFor(a authctx.Attributes) *Token {
	i.tb.Helper()
	a.Issuer, a.Expires = i.URL(), time.Time{}
	raw, err := i.current().Issue(context.Background(), a)
	if err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	return i.builder(raw)
}

// TxnToken returns a good Transaction Token for p, with which this issuer plays
// the edge of a trust domain: services under test take its keys from JWKSURL,
// as they would from a gateway. Its "iss" is the trust domain, as in tokens of a
// [jwtauth.TxnPropagator] that was given no Issuer, and not URL. Unlike such a
// propagator without Scopes it takes callers that have none.
func (i *Issuer) TxnToken(trustDomain string, p authctx.Principal) *Token {
	i.tb.Helper()
	i.mu.Lock()
	set := i.set
	i.mu.Unlock()
	edge, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: trustDomain, Workload: i.URL(), Keys: set, Now: i.opts.Now,
		Scopes: jwtauth.CallerScopes,
	})
	var raw string
	if err == nil {
		err = edge.Inject(context.Background(), p, func(_, token string) { raw = token })
	}
	if err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	return i.builder(raw)
}

// builder takes a token apart again, so that it can be changed.
func (i *Issuer) builder(raw string) *Token {
	i.tb.Helper()
	i.mu.Lock()
	signing := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	parts := strings.Split(raw, ".")
	t := &Token{issuer: i, Header: decode(i.tb, parts[0]), Claims: decode(i.tb, parts[1])}
	t.Header["kid"] = signing.id
	return t.SignWith(string(i.opts.Algorithm), signing.private)
}

func (i *Issuer) current() *jwtauth.Issuer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.issuer
}

// sign makes keys the published ones, of which the last signs. The caller holds
// the lock.
func (i *Issuer) sign(keys ...*key) {
	i.tb.Helper()
	last := len(keys) - 1
	cfg := jwtauth.SigningKeysConfig{Current: keys[last].signing, Now: i.opts.Now}
	for _, k := range keys[:last] {
		cfg.Published = append(cfg.Published, k.signing.VerificationKey())
	}
	set, err := jwtauth.NewSigningKeys(cfg)
	if err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	issuer, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: i.server.URL, Audiences: []string{i.opts.Audience}, Keys: set, Lifetime: i.opts.Lifetime, Now: i.opts.Now,
	})
	if err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	i.keys, i.set, i.issuer = keys, set, issuer
}

// unpublished returns a key that is never in the set, always the same one: to a
// verifier a new one might be news.
func (i *Issuer) unpublished() *key {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.never == nil {
		i.never = newKey(i.tb, i.opts.Algorithm)
	}
	return i.never
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	h := i.broken
	if h == nil {
		h = i.Handler()
	}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/jwks.json"):
		i.fetches++
	case path != introspectionPath:
		i.discoveries++
	}
	i.mu.Unlock()
	h.ServeHTTP(w, r)
}

// decode returns a JSON object with its numbers as they were written.
func decode(tb testing.TB, part string) map[string]any {
	tb.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	var m map[string]any
	if err == nil {
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.UseNumber()
		err = dec.Decode(&m)
	}
	if err != nil {
		tb.Fatalf("jwtauthtest: %v", err)
	}
	return m
}
