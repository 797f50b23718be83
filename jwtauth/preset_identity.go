package jwtauth

// Presets for what is not an access token of an authorization server: ID tokens
// and the identities of workloads.

// GoogleClaims reads ID tokens of Google, whose access tokens are opaque. An ID
// token tells a client who logged in; taking it for access is a choice, made
// with [IDTokenTypes]. The tenant is the hosted domain. The issuer of such a token
// is "https://accounts.google.com" or "accounts.google.com": the second belongs in
// [VerifierConfig.IssuerAliases].
func GoogleClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{Tenant: []ClaimSource{Claim("hd")}})
}

// FirebaseClaims reads ID tokens of Firebase and Google Identity Platform.
// Custom claims are read where RFC 9068 has them, at the top level. See
// [GoogleClaims] about ID tokens.
func FirebaseClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		Tenant:   []ClaimSource{Claim("firebase", "tenant")},
		ClientID: []ClaimSource{},
		Extra:    map[string][]ClaimSource{"sign-in-provider": {Claim("firebase", "sign_in_provider")}},
	})
}

// DexClaims reads tokens of Dex. Its access tokens are ID tokens in all but
// name, with "at_hash", so that the verifier needs [IDTokenTypes]. The client is
// "azp", which Dex writes beside several audiences, or the only audience. What
// Dex has of its own in an answer about a token is read too: "client_id", and
// under "ext" what it writes into tokens at the top level.
func DexClaims() *ClaimMapping {
	either := func(path ...string) []ClaimSource {
		return []ClaimSource{Claim(path...), Claim(append([]string{"ext"}, path...)...)}
	}
	return newClaimMapping(ClaimMappingConfig{
		Name:     append(either("name"), Claim("preferred_username"), Claim("username")),
		Email:    either("email"),
		Groups:   either("groups"),
		ClientID: []ClaimSource{Claim("azp"), Claim("client_id"), Claim("aud")},
		Extra: map[string][]ClaimSource{
			"connector":         either("federated_claims", "connector_id"),
			"connector-user-id": either("federated_claims", "user_id"),
		},
	})
}

// KubernetesClaims reads tokens of Kubernetes service accounts. The caller is a
// service, its tenant the namespace; service account, pod and node are extra
// attributes.
func KubernetesClaims() *ClaimMapping {
	about := func(path ...string) []ClaimSource {
		return []ClaimSource{Claim(append([]string{"kubernetes.io"}, path...)...)}
	}
	return newClaimMapping(ClaimMappingConfig{
		Tenant:  about("namespace"),
		Require: []ClaimTest{{Path: []string{"kubernetes.io", "serviceaccount", "name"}, Present: true}},
		Service: []ClaimTest{{Path: []string{"sub"}, Present: true}},
		Extra: map[string][]ClaimSource{
			"service-account":     about("serviceaccount", "name"),
			"service-account-uid": about("serviceaccount", "uid"),
			"pod":                 about("pod", "name"),
			"pod-uid":             about("pod", "uid"),
			"node":                about("node", "name"),
			"node-uid":            about("node", "uid"),
		},
	})
}

// SPIFFEClaims reads JWT-SVIDs. The caller is a service; its subject is the
// SPIFFE ID and its issuer the trust domain as an ID, such as
// "spiffe://example.org", which [VerifierConfig.Issuer] names too. The verifier should
// have [SPIFFETypes]. Its keys are those of the trust domain's bundle, or those
// that an OpenID Connect discovery provider publishes for it.
func SPIFFEClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		spiffe:  true,
		Service: []ClaimTest{{Path: []string{"sub"}, Present: true}},
	})
}
