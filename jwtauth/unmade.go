package jwtauth

import "github.com/authctx/authctx/internal/absent"

// unmade reports whether a required setting is nil, holds nil, or is a zero value
// of a type of this package that only constructors make: the first request would
// panic, and over gRPC end the program.
func unmade(v any) bool {
	if absent.Nil(v) {
		return true
	}
	switch v := v.(type) {
	case *Verifier:
		return v.policy == nil
	case *MultiVerifier:
		return v.issuers.parser == nil
	case *ResolvingVerifier:
		return v.resolver.parser == nil
	case *Introspector:
		return v.policy == nil
	case *RemoteKeys:
		return v.keyfunc == nil
	case *SigningKeys:
		return v.ring.Load() == nil
	case *SigningKey:
		return v.public == nil
	case *Key:
		return v.material == nil
	}
	return false
}

// unmade is for mappings, of which nil stands for the default.
func (m *ClaimMapping) unmade() bool { return m != nil && len(m.cfg.Subject) == 0 }

// unmadeClaims is what configurations say of a mapping that reads nothing.
const unmadeClaims = "Claims is a zero ClaimMapping, which reads nothing; NewClaimMapping makes one, and nil stands for RFC9068Claims"
