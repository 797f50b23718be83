package conformance

import (
	"testing"

	"github.com/authctx/authctx"
)

// What a request says of where it came from, and of what it once asked for,
// decides nothing, whoever sent it.
func TestForwardedFieldsChangeNoDecision(t *testing.T) {
	caller := map[string][]string{"x-user-id": {"alice"}, "x-user-issuer": {"i"}}
	for peers, known := range map[string]bool{"127.0.0.0/8": true, "10.0.0.0/8": false} {
		trust := must[authctx.Trust](t)(authctx.TrustPeerCIDR(peers))
		auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust}))
		for name, claim := range map[string]map[string]string{
			"CVE-2026-76835": {"x-forwarded-uri": "/public"},
			"CVE-2026-35051": {"x-forwarded-prefix": "/public"},
			"CVE-2026-54764": {"x-forwarded-port": "443"},
			"CVE-2026-33495": {"x-forwarded-proto": "https", "x-forwarded-ssl": "on"},
			"CVE-2026-94197": {"x-original-uri": "/public", "x-original-url": "/public", "x-forwarded-method": "OPTIONS", "x-http-method-override": "OPTIONS"},
			"CVE-2023-36456": {"x-forwarded-for": "10.0.0.1", "x-real-ip": "10.0.0.1", "true-client-ip": "10.0.0.1"},
			"CVE-2024-47070": {"x-forwarded-for": "not an address"},
			"CVE-2024-21494": {"x-forwarded-for": "10.0.0.1, 127.0.0.1"},
			"CVE-2024-21499": {"x-forwarded-proto": "javascript"},
			"CVE-2026-57210": {"forwarded": `for="10.0.0.1";by=10.0.0.2, for="[::1]:1\", for=\"10.0.0.1"`},
			"CVE-2026-85751": {"x-forwarded-by": "10.0.0.1", "x-forwarded-host": "10.0.0.1"},
			"CVE-2026-34457": {"user-agent": "GoogleHC/1.0", "x-health-check": "GoogleHC/1.0"},
			"CVE-2024-45806": {"x-envoy-internal": "true", "x-envoy-external-address": "10.0.0.1"},
		} {
			for _, route := range routes[:2] { // messages have no peer
				t.Run(name+"/"+peers+"/"+route.name, func(t *testing.T) {
					far := route.open(t, auth)
					fields := map[string][]string{}
					for field, value := range claim {
						fields[field] = []string{value}
					}
					refusedFor(t, far, far.send(t.Context(), fields), authctx.NoCredentials)
					for field, values := range caller {
						fields[field] = values
					}
					err := far.send(t.Context(), fields)
					if !known {
						refusedFor(t, far, err, authctx.NoCredentials)
					} else if got, _, _ := far.last(); err != nil || got.Subject() != "alice" {
						t.Errorf("the service saw %v, %v", got, err)
					}
				})
			}
		}
	}
}
