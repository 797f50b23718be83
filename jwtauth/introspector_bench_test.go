package jwtauth_test

import (
	"testing"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

// BenchmarkIntrospect has a repeated token beside the exchange that it spares,
// which is here one over loopback with an endpoint that does nothing.
func BenchmarkIntrospect(b *testing.B) {
	for _, c := range []struct {
		name  string
		cache jwtauth.CacheConfig
	}{{"first", jwtauth.CacheConfig{Disabled: true}}, {"repeat", jwtauth.CacheConfig{MaxAge: time.Hour}}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := introspectionConfig(newEndpoint(b, answer(good)).URL, newClock())
			cfg.Cache = c.cache
			i := newIntrospector(b, cfg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Verify(b.Context(), "2YotnFZFEjr1zCsicMWpAA"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
