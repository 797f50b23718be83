package httpctx_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// takes reports whether a mux takes both patterns, each of which it takes alone.
func takes(a, b string) (ok bool) {
	defer func() { ok = recover() == nil }()
	mux := http.NewServeMux()
	mux.Handle(a, spy)
	mux.Handle(b, spy)
	return true
}

func authenticated(names ...string) authctx.PolicyConfig {
	rules := map[string]authctx.Rule{}
	for _, name := range names {
		rules[name] = authctx.Authenticated()
	}
	return authctx.PolicyConfig{Rules: rules}
}

// The conflicts of a policy are those of a mux, whichever patterns it has.
func TestRule1_ThePatternsThatConflictAreThoseThatNoMuxTakes(t *testing.T) {
	pick := func(list ...string) string { return list[rand.IntN(len(list))] }
	for range rounds(300) {
		var names []string
		for range 12 {
			name := pick("", "", "GET ", "HEAD ", "POST ") + pick("", "", "a.example", "b.example")
			for range 1 + rand.IntN(3) {
				name += pick("/a", "/b", "/{x}")
			}
			name = strings.Replace(name, "{x}", "{y}", rand.IntN(2))
			name += pick("", "", "/", "/{$}", "/{rest...}")
			if takes(name, "other.example/") { // not twice {x}
				names = append(names, name)
			}
		}
		_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), Policy: newPolicy(t, authenticated(names...))})
		said := fmt.Sprint(err)
		for i, a := range names {
			for _, b := range names[:i] {
				want := a != b && !takes(a, b)
				got := strings.Contains(said, fmt.Sprintf("%q and %q match", a, b)) || strings.Contains(said, fmt.Sprintf("%q and %q match", b, a))
				if got != want {
					t.Errorf("%q and %q: a conflict %v, want %v", a, b, got, want)
				}
			}
		}
	}
}

// What a mux never calls a conflict need not be asked of one.
func TestPatternsOfTwoHostsNeverConflict(t *testing.T) {
	paths := []string{"/a", "/A", "/{x}", "/{x}/b", "/a/{y}", "/", "/a/", "/{x...}", "/a/{$}"}
	for _, a := range paths {
		for _, b := range paths {
			for _, hosts := range [][2]string{{"a.example", "b.example"}, {"", "b.example"}, {"a.example", ""}} {
				for _, method := range []string{"", "GET ", "HEAD "} {
					if one, other := hosts[0]+a, method+hosts[1]+b; !takes(one, other) {
						t.Errorf("a mux does not take %q and %q", one, other)
					}
				}
			}
		}
	}
}

// Were each pattern compared with every other, twice as many would cost four times as
// much, and thousands would take minutes.
func TestAPolicyOfManyPatternsIsReady(t *testing.T) {
	for what, name := range map[string]string{
		"hosts":               "h%d.example/a",
		"literals":            "GET /api/r%d/{id}",
		"behind a wildcard":   "GET /{tenant}/r%d/{id}",
		"methods of services": "/pkg.S%d/Get",
	} {
		cost := func(patterns int) float64 {
			names := []string{"/", "/{x}/{y}/{z}"}
			for i := range patterns {
				names = append(names, fmt.Sprintf(name, i))
			}
			policy := newPolicy(t, authenticated(names...))
			return testing.AllocsPerRun(1, func() { newServer(t, httpctx.ServerConfig{Policy: policy}) })
		}
		if few, many := cost(100), cost(200); many > 3*few {
			t.Errorf("%s: %v allocations for 100 patterns, %v for 200", what, few, many)
		}
	}
}

func TestRule10_ARouteOfManySegmentsIsRuled(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{
		Rules:   map[string]authctx.Rule{"/a/b/c/d/e/f/g/h/i/{x}/admin/": authctx.Role("admin")},
		Default: authctx.Authenticated(),
	}, spy)
	for path, want := range map[string]int{
		"/a/b/c/d/e/f/g/h/i/1/admin/x":   403,
		"/a/b/c/d/e/f/g/h/i/1/ADMIN/x":   403,
		"/a/b/c/d/e/f/g/h/i/1/admin%2Fx": 403,
		"/a/b/c/d/e/f/g/h/i/1/other/x":   200,
		"/a/b/c/d/e/f/g/h/i/1":           200,
		"/a/b/c/d/e/f/g/h":               200,
	} {
		if w := asked(t, h, "GET "+path, "api", "bob"); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
