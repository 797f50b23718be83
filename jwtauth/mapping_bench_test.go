package jwtauth

import (
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// realisticClaims are RFC 9068 claims with 6 scopes, 4 roles and 8 permissions.
const realisticClaims = `{"iss":"https://login.example.com/realms/shop","sub":"5f0c2b1e-8f6d-4c55-9e3b-0a7b1f2d6c11",` +
	`"aud":["https://api.example.com"],"exp":1767225600,"iat":1767222000,"auth_time":1767221990,` +
	`"jti":"0d3f7c9a-6b1c-4a55-8a43-1f7e7c2b9d10","client_id":"web-frontend","sid":"8e0b7c6f-1f54-4f2f",` +
	`"scope":"openid profile email orders.read orders.write offline_access",` +
	`"roles":["customer","editor","support","auditor"],` +
	`"entitlements":["orders:create","orders:read","orders:cancel","invoices:read","invoices:pay","users:read","users:invite","reports:read"],` +
	`"tenant":"acme","acr":"urn:mace:incommon:iap:silver","amr":["pwd","otp"]}`

func parseRealistic(t testing.TB, m *ClaimMapping, doc *strictjson.Doc) {
	t.Helper()
	if err := strictjson.NewParser(strictjson.Config{Known: m.names()}).Parse(doc, realisticClaims); err != nil {
		t.Fatal(err)
	}
}

func TestMappingAllocatesNothingOfItsOwn(t *testing.T) {
	m, lists := RFC9068Claims(), make([]string, 0, 32)
	var doc strictjson.Doc
	parseRealistic(t, m, &doc)
	if n := testing.AllocsPerRun(100, func() {
		lists = lists[:0]
		var a authctx.Attributes
		if err := m.attributes(&a, &doc, "https://login.example.com", &lists); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMapping(b *testing.B) {
	for _, preset := range []struct {
		name    string
		mapping *ClaimMapping
	}{{"rfc9068", RFC9068Claims()}, {"hydra", HydraClaims()}} {
		b.Run(preset.name, func(b *testing.B) {
			var doc strictjson.Doc
			lists := make([]string, 0, 32)
			parseRealistic(b, preset.mapping, &doc)
			b.ReportAllocs()
			for b.Loop() {
				lists = lists[:0]
				var a authctx.Attributes
				if err := preset.mapping.attributes(&a, &doc, "https://login.example.com", &lists); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
