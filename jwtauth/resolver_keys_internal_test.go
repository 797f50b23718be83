package jwtauth

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/authctx/authctx/internal/moment"
)

// ownersTest does with a resolver what requests may make of it, and knows by
// numbers which keys each verifier has.
type ownersTest struct {
	*testing.T
	*resolver
	random  *rand.Rand
	now     time.Time
	public  []ed25519.PublicKey
	remote  []KeySource
	numbers map[*Verifier][]int
}

// pointerSource is told from others by where it is.
type pointerSource struct{ KeySource }

// What is found by way of the keys is what looking through all issuers finds.
func TestRule2_KeysHaveTheOwnersThatASearchFinds(t *testing.T) {
	for seed := range uint64(20) {
		o := &ownersTest{T: t, random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0), numbers: map[*Verifier][]int{}}
		for range 3 {
			key, _, _ := ed25519.GenerateKey(nil)
			o.public, o.remote = append(o.public, key), append(o.remote, &pointerSource{})
		}
		r, err := NewResolvingVerifier(ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*Verifier, error) { return nil, nil },
			Algorithms: []Algorithm{EdDSA}, MaxIssuers: 4, MaxAge: time.Minute, MaxStale: 3 * time.Minute, Now: func() time.Time { return o.now },
		})
		if err != nil {
			t.Fatal(err)
		}
		o.resolver = &r.resolver
		for range 400 {
			o.step()
			o.compareOwners()
		}
		if err := r.Close(); err != nil || len(o.owners) > 0 {
			t.Errorf("%v; owners are left: %v", err, o.owners)
		}
	}
}

func (o *ownersTest) step() {
	switch o.random.IntN(6) {
	case 0:
		o.now = o.now.Add(time.Duration(o.random.IntN(60)) * time.Second)
	case 1, 2:
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, a := range o.known { // any
			switch o.random.IntN(20) {
			case 0:
				o.drop(a)
			case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
				o.list(a, true)
			default:
				o.goOn(a, o.now)
			}
			return
		}
	default:
		o.answer()
	}
}

// answer keeps a verifier of any issuer with any keys, if a search allows that.
func (o *ownersTest) answer() {
	iss, v := o.verifier()
	call := &resolveCall{issuer: iss, done: make(chan struct{})}
	h, _ := o.hold(call, v)
	defer o.letGo(h)
	o.mu.Lock()
	defer o.mu.Unlock()
	want, refused := o.search(iss, v)
	if err := o.keep(call, h); (err != nil) != refused {
		o.Fatalf("%v; a search says %v", err, refused)
	}
	if got := o.verifiers(); !maps.Equal(got, want) && len(got) < o.cfg.MaxIssuers { // others may have been pushed out
		o.Fatalf("%v are kept; a search leaves %v", got, want)
	}
}

// verifiers are those that are kept, by issuer.
func (o *ownersTest) verifiers() map[string]*Verifier {
	all := map[string]*Verifier{}
	for name, a := range o.known {
		all[name] = a.held.verifier
	}
	return all
}

// search returns what is kept when v comes, and whether it is refused.
func (o *ownersTest) search(iss string, v *Verifier) (want map[string]*Verifier, refused bool) {
	share := func(other *Verifier) bool {
		return slices.ContainsFunc(o.numbers[v], func(n int) bool { return slices.Contains(o.numbers[other], n) })
	}
	before := o.verifiers()
	want = maps.Clone(before)
	for name, other := range o.known {
		if name != iss && other.policy.Issuer != v.policy.Issuer && share(other.held.verifier) {
			refused = refused || other.proven || !moment.Reached(other.policy.until, o.now)
			delete(want, name)
		}
	}
	if !refused {
		want[iss] = v
		return want, false
	}
	if own := o.known[iss]; own != nil && !share(own.held.verifier) && moment.Reached(own.since.Add(o.cfg.MaxStale), o.now) {
		delete(before, iss)
	}
	return before, true
}

// verifier returns one for an issuer, a tenant perhaps.
func (o *ownersTest) verifier() (string, *Verifier) {
	cfg := VerifierConfig{Audiences: []string{"api"}, Algorithms: []Algorithm{EdDSA}}
	iss := fmt.Sprintf("https://%d.example", o.random.IntN(4))
	if cfg.Issuer = iss; o.random.IntN(2) == 0 {
		cfg.Issuer, cfg.Tenants = "https://"+string('a'+rune(o.random.IntN(2)))+".example/{tenantid}", AnyTenant()
		iss = fmt.Sprintf("https://a.example/%d", o.random.IntN(4))
	}
	var sources []KeySource
	var numbers []int
	for range 1 + o.random.IntN(2) {
		n := o.random.IntN(len(o.public) + len(o.remote))
		numbers, sources = append(numbers, n), append(sources, o.source(n))
	}
	joined, err := JoinKeys(sources[0], sources[1:]...)
	if err != nil {
		o.Fatal(err)
	}
	cfg.Keys = joined
	v, err := NewVerifier(cfg)
	if err != nil {
		o.Fatal(err)
	}
	o.numbers[v] = numbers
	return iss, v
}

// source returns the keys of a number, a static one made anew.
func (o *ownersTest) source(n int) KeySource {
	if n >= len(o.public) {
		return o.remote[n-len(o.public)]
	}
	key, err := NewPublicKey(fmt.Sprint(o.random.Int()), EdDSA, o.public[n])
	if err != nil {
		o.Fatal(err)
	}
	source, err := NewStaticKeys(key)
	if err != nil {
		o.Fatal(err)
	}
	return source
}

// compareOwners holds what was kept in step to what is known.
func (o *ownersTest) compareOwners() {
	want := keyOwners{}
	for _, a := range o.known {
		want.add(a)
		for _, origin := range a.held.origins {
			if len(want[origin]) > 1 {
				o.Fatalf("a key serves all of %v", slices.Collect(maps.Keys(want[origin])))
			}
		}
	}
	same := func(a, b keyOwner) bool {
		return maps.EqualFunc(a, b, maps.Equal[map[*resolved]struct{}, map[*resolved]struct{}])
	}
	if !maps.EqualFunc(o.owners, want, same) {
		o.Fatalf("owners are %v, want %v", o.owners, want)
	}
}
