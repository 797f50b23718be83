package jwtauth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestAudienceByClientOrExplicitlyAny(t *testing.T) {
	none := newEndpoint(t, answer(strings.Replace(good, `"aud":["orders","billing"],`, "", 1)))
	cfg := introspectionConfig(none.URL, newClock())
	cfg.Audiences, cfg.ClientIDs = nil, []string{"web"}
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("by client: %v", err)
	}
	cfg.ClientIDs = []string{"mobile"}
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("by another client: %v", err)
	}
	cfg.ClientIDs, cfg.InsecureAnyAudience = nil, true
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("any: %v", err)
	}
}

// An endpoint that never answers is waited for by three quarters of 256 callers.
func TestUnlessToldOtherwiseQuestionsAreBoundedInTimeAndNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := introspectionConfig("https://as.example.com/introspect", newClock())
		cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		i := newIntrospector(t, cfg)
		begin := time.Now()
		waits := make(chan time.Duration, 300)
		for n := range cap(waits) {
			go func() {
				if _, err := i.Verify(t.Context(), fmt.Sprint("token-", n)); !errors.Is(err, authctx.Unavailable) {
					t.Error(err)
				}
				waits <- time.Since(begin)
			}()
		}
		got := map[time.Duration]int{}
		for range cap(waits) {
			got[<-waits]++
		}
		if want := (map[time.Duration]int{0: 300 - 192, 5 * time.Second: 192}); !maps.Equal(got, want) {
			t.Errorf("callers by how long they waited: %v, want %v", got, want)
		}
	})
}

func TestRule1_EveryMissingOrContradictoryIntrospectionSettingIsReported(t *testing.T) {
	for _, c := range []struct {
		cfg  jwtauth.IntrospectorConfig
		want []string
	}{
		{jwtauth.IntrospectorConfig{}, []string{"Endpoint is required", "ClientID is required", "ClientSecret is required", "Issuer is required",
			"Audiences is required; ClientIDs replaces it for endpoints that leave aud out"}},
		{jwtauth.IntrospectorConfig{Endpoint: "http://as.example.com/introspect", ClientID: "c", ClientSecret: "s", Issuer: "i",
			Audiences: []string{""}, InsecureAnyAudience: true, Leeway: time.Hour, Timeout: -1, MaxPending: -1, MaxTokenBytes: 1<<20 + 1, Cache: jwtauth.CacheConfig{MaxAge: -1}},
			[]string{`Endpoint: "http://as.example.com/introspect" is not https`, "InsecureAnyAudience contradicts Audiences and ClientIDs",
				"Audiences has an empty element", "Leeway must be", "Timeout must be at least 1ms and is -1ns", "MaxPending must not be negative",
				"MaxTokenBytes must be between 256 and 1048576", "Cache"}},
		{jwtauth.IntrospectorConfig{Endpoint: "https://as.example.com/introspect", ClientID: "c", ClientSecret: "s", Audiences: []string{"a"},
			Issuer: "https://as.example.com/" + jwtauth.TenantPlaceholder, Claims: jwtauth.SPIFFEClaims()},
			[]string{"Issuer has {tenantid}", "Claims are those of SPIFFE"}},
		{jwtauth.IntrospectorConfig{Endpoint: "https://as.example.com/introspect", ClientID: "c\n", ClientSecret: "hunter2\n", Audiences: []string{"a"}, Issuer: "i", IssuerAliases: []string{"i"}},
			[]string{`ClientID: "c\n" must be`, "ClientSecret must not hold control characters", `IssuerAliases has "i", which is Issuer`}},
		{jwtauth.IntrospectorConfig{Endpoint: "https://as.example.com/introspect", ClientID: "c", ClientSecret: "s", Audiences: []string{"a"}, Issuer: "i",
			Cache: jwtauth.CacheConfig{MaxBytes: 16<<10 - 1}}, []string{"Cache.MaxBytes must be at least 16384"}},
	} {
		i, err := jwtauth.NewIntrospector(c.cfg)
		if err == nil || i != nil {
			t.Fatalf("no error for %v", c.cfg)
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("got\n%v", err)
		}
		for n, want := range c.want {
			if n < len(lines) && !strings.Contains(lines[n], ": "+want) {
				t.Errorf("line %d is %s, want %s", n, lines[n], want)
			}
		}
	}
	cfg := introspectionConfig("http://as.example.com/introspect", newClock())
	cfg.InsecureAllowHTTP, cfg.Cache.MaxBytes = true, 16<<10
	newIntrospector(t, cfg)
}

func TestRule11_NeitherConfigNorIntrospectorPrintsASecret(t *testing.T) {
	cfg := introspectionConfig("https://as.example.com/introspect", newClock())
	cfg.ClientSecret = "hunter2"
	i := newIntrospector(t, cfg)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "introspector", i, "config", cfg)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s %d", cfg, cfg, cfg, cfg, &cfg), fmt.Sprintf("%v %+v %#v %s %d", i, i, i, i, i), log.String()} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "aHVudGVyMg") {
			t.Errorf("%s", s)
		}
	}
}
