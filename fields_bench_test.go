package authctx

import (
	"context"
	"iter"
	"maps"
	"testing"
)

// realistic is a caller as an identity provider of a middle-sized company names
// one: 6 scopes, 4 roles, 8 permissions.
func realistic() Attributes {
	return Attributes{
		Issuer: "https://idp.example", Subject: "248289761001", Name: "Jane Doe", Email: "jane@example.com",
		Tenant: "acme", ClientID: "web", SessionID: "08a5019c-17e1-4977-8f42-65a12843ea02",
		Scopes: []string{"openid", "profile", "orders.read", "orders.write", "users.read", "reports.read"},
		Roles:  []string{"editor", "approver", "support", "auditor"},
		Permissions: []string{"orders:create", "orders:read", "orders:cancel", "users:read", "users:invite",
			"reports:read", "reports:export", "billing:read"},
	}
}

// lowerCaseFields reads a map whose keys are lower case already, as gRPC metadata
// is.
type lowerCaseFields map[string][]string

func (m lowerCaseFields) Values(name string) []string { return m[name] }
func (m lowerCaseFields) Names() iter.Seq[string]     { return maps.Keys(m) }

func BenchmarkCodec(b *testing.B) {
	layout := PlainLayout()
	p, err := New(realistic())
	if err != nil {
		b.Fatal(err)
	}
	fields, err := layout.encode(p.a.Attributes)
	if err != nil {
		b.Fatal(err)
	}
	m := map[string][]string{}
	for _, f := range fields {
		m[f.Name] = []string{f.Value}
	}
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := layout.encode(p.a.Attributes); err != nil {
				b.Fatal(err)
			}
		}
	})
	r := &Request{Fields: lowerCaseFields(m)}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := auth.read(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := auth.Authenticate(context.Background(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestCodecAllocatesTwiceBeyondTheStrings(t *testing.T) {
	layout, a := PlainLayout(), realistic()
	a.Name = "Jane" // nothing to encode or decode but lists
	p, err := New(a)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = layout.encode(p.a.Attributes) }); n > 2 {
		t.Errorf("encode allocates %v times", n)
	}
	fields, _ := layout.encode(p.a.Attributes)
	m := lowerCaseFields{}
	for _, f := range fields {
		m[f.Name] = []string{f.Value}
	}
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Fields: m}
	if n := testing.AllocsPerRun(100, func() {
		if p, err := auth.read(r); err != nil || !p.HasRole("auditor") {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("decode allocates %v times", n)
	}
}
