package jwtauth

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PresetClaims returns a ready mapping by name, for programs that are told by a
// flag or a file. The arguments are those of the function that the name stands
// for; see [PresetNames].
func PresetClaims(name string, args ...string) (*ClaimMapping, error) {
	preset, ok := presets()[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("jwtauth: %q is no preset; there are %s", name, strings.Join(PresetNames(), ", "))
	case len(args) > 0 && preset.judge == nil:
		return nil, fmt.Errorf("jwtauth: preset %s takes no arguments", name)
	case slices.Contains(args, ""):
		return nil, fmt.Errorf("jwtauth: preset %s has an empty argument", name)
	}
	for _, arg := range args {
		if err := preset.judge(arg); err != nil {
			return nil, fmt.Errorf("jwtauth: preset %s has the argument %.200q, and %w", name, arg, err)
		}
	}
	return preset.make(args...), nil
}

// judgeNamespace refuses what is no beginning of the names of claims at Auth0: a
// URL with a host, or a URN. A host and port alone would parse as a URL.
func judgeNamespace(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Scheme != "urn" {
		return errors.New("namespaces begin with a URL")
	}
	return nil
}

// PresetNames returns the names that [PresetClaims] knows, sorted.
func PresetNames() []string { return slices.Sorted(maps.Keys(presets())) }

type preset struct {
	make  func(args ...string) *ClaimMapping
	judge func(arg string) error // nil where there are no arguments
}

func presets() map[string]preset {
	plain := func(f func() *ClaimMapping) preset {
		return preset{make: func(...string) *ClaimMapping { return f() }}
	}
	anything := func(string) error { return nil }
	return map[string]preset{
		"rfc9068":    plain(RFC9068Claims),
		"keycloak":   {KeycloakClaims, anything},
		"auth0":      {Auth0Claims, judgeNamespace},
		"okta":       plain(OktaClaims),
		"entra":      plain(EntraClaims),
		"cognito":    plain(CognitoClaims),
		"google":     plain(GoogleClaims),
		"firebase":   plain(FirebaseClaims),
		"zitadel":    {ZitadelClaims, anything},
		"hydra":      plain(HydraClaims),
		"dex":        plain(DexClaims),
		"supabase":   plain(SupabaseClaims),
		"clerk":      plain(ClerkClaims),
		"kubernetes": plain(KubernetesClaims),
		"spiffe":     plain(SPIFFEClaims),
	}
}

// RFC9068Claims reads what RFC 7519, RFC 9068 and OpenID Connect define, and
// "tenant", "permissions", "scp" and "cid", which many providers use. It is what
// a nil mapping stands for.
func RFC9068Claims() *ClaimMapping { return newClaimMapping(ClaimMappingConfig{}) }

// KeycloakClaims reads access tokens of Keycloak, which say in a claim what
// kind they are. Roles are those of the realm and those of the clients given
// here, usually the one that stands for this service; what a caller may do at
// other clients is left out, because their roles may have the same names.
// Groups lose the slash in front. A service account is told from a user by
// "clientHost" and "clientAddress", which Keycloak writes unless its mappers for
// them are removed: without both it counts as a user.
func KeycloakClaims(clients ...string) *ClaimMapping {
	cfg := ClaimMappingConfig{
		SessionID: []ClaimSource{Claim("sid"), Claim("session_state")},
		Roles:     []ClaimSource{Claim("realm_access", "roles")},
		Groups:    []ClaimSource{{Path: []string{"groups"}, TrimPrefix: "/"}},
		Require:   []ClaimTest{{Path: []string{"typ"}, Values: []string{"Bearer", "DPoP"}}},
		// A service account's name can be taken by a user, these notes of its
		// session cannot.
		Service: []ClaimTest{
			{Path: []string{"clientHost"}, Present: true},
			{Path: []string{"clientAddress"}, Present: true},
		},
	}
	for _, client := range clients {
		cfg.Roles = append(cfg.Roles, Claim("resource_access", client, "roles"))
	}
	return newClaimMapping(cfg)
}

// Auth0Claims reads access tokens of Auth0, of either profile. Auth0 wants
// custom claims to have names that begin with a URL: "roles" and "groups" are
// also read behind each of the namespaces given here, such as
// "https://app.example.com/". A namespace that ends in a letter or digit is read
// with a slash behind it, so that both ways to write one mean
// "https://app.example.com/roles". The subject of a program is its client with
// "@clients" behind it; tokens of the RFC 9068 profile say it in no other way.
func Auth0Claims(namespaces ...string) *ClaimMapping {
	cfg := ClaimMappingConfig{
		Tenant:  []ClaimSource{Claim("org_id")},
		Roles:   []ClaimSource{Claim("roles")},
		Groups:  []ClaimSource{Claim("groups")},
		Service: []ClaimTest{{Path: []string{"gty"}, Values: []string{"client-credentials", "client_credentials"}}},

		clientSuffix: "@clients",
	}
	for _, namespace := range namespaces {
		if last, _ := utf8.DecodeLastRuneInString(namespace); unicode.IsLetter(last) || unicode.IsDigit(last) {
			namespace += "/"
		}
		cfg.Roles = append(cfg.Roles, Claim(namespace+"roles"))
		cfg.Groups = append(cfg.Groups, Claim(namespace+"groups"))
	}
	return newClaimMapping(cfg)
}

// OktaClaims reads access tokens of an Okta custom authorization server, and what
// its introspection endpoint says of them, where the client is "client_id" and not
// "cid". The subject is "uid", because "sub" is a login name there, which can
// change hands; tokens of programs have only "sub", their client.
func OktaClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		Subject:  []ClaimSource{Claim("uid"), Claim("sub")},
		Name:     []ClaimSource{Claim("name"), Claim("preferred_username"), Claim("sub")},
		ClientID: []ClaimSource{Claim("cid"), Claim("client_id")},
	})
}

// EntraClaims reads access tokens of Microsoft Entra ID, version 2. The subject
// is "oid", the same for all applications of a tenant, and not the pairwise
// "sub". Above 200 groups the token names none and the principal's groups are
// marked incomplete. Programs are told from users by "idtyp", an optional claim
// that the API must be registered to get.
func EntraClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		Subject:  []ClaimSource{Claim("oid"), Claim("sub")},
		Tenant:   []ClaimSource{Claim("tid")},
		ClientID: []ClaimSource{Claim("azp"), Claim("appid")},
		TokenID:  []ClaimSource{Claim("jti"), Claim("uti")},
		GroupsIncomplete: []ClaimTest{
			{Path: []string{"_claim_names", "groups"}, Present: true},
			{Path: []string{"hasgroups"}, Values: []string{"true"}},
		},
		Service: []ClaimTest{{Path: []string{"idtyp"}, Values: []string{"app"}}},
	})
}

// CognitoClaims reads access tokens of AWS Cognito, which have no "aud", unless
// the client asked for a resource: the verifier checks the client instead.
func CognitoClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		Name:      []ClaimSource{Claim("username")},
		ClientID:  []ClaimSource{Claim("client_id")},
		SessionID: []ClaimSource{Claim("origin_jti")},
		Groups:    []ClaimSource{Claim("cognito:groups")},
		Require:   []ClaimTest{{Path: []string{"token_use"}, Values: []string{"access"}}},
	})
}

// ZitadelClaims reads JWT access tokens of Zitadel. Roles are those of the
// projects given by ID, or, when none is given, those of the project that the
// client belongs to. A role counts whichever organization granted it; who must
// tell them apart finds the organizations in the claims. The tenant is the
// organization that the user belongs to.
//
// It requires "jti". Zitadel writes that into JWT access tokens and answers of
// introspection, and never into ID tokens, which are for the same project as the
// access tokens, and of the same type.
func ZitadelClaims(projects ...string) *ClaimMapping {
	cfg := ClaimMappingConfig{
		Tenant:  []ClaimSource{Claim("urn:zitadel:iam:user:resourceowner:id")},
		Require: []ClaimTest{{Path: []string{"jti"}, Present: true}},
	}
	for _, project := range projects {
		cfg.Roles = append(cfg.Roles, ClaimSource{
			Path: []string{"urn:zitadel:iam:org:project:" + project + ":roles"}, Form: ClaimKeys,
		})
	}
	if len(projects) == 0 {
		cfg.Roles = []ClaimSource{{Path: []string{"urn:zitadel:iam:org:project:roles"}, Form: ClaimKeys}}
	}
	return newClaimMapping(cfg)
}

// HydraClaims reads JWT access tokens of Ory Hydra. Claims that the login
// application added are looked for at the top level and then under "ext". Where
// clients ask for no audience, "aud" is an empty list: [VerifierConfig.ClientIDs] says
// whose tokens are taken then.
func HydraClaims() *ClaimMapping {
	cfg := rfc9068Config()
	for name, sources := range cfg.sources {
		if name == "Subject" || name == "ClientID" || name == "TokenID" || name == "Scopes" || name == "AuthTime" {
			continue // Hydra's own
		}
		for _, s := range *sources {
			s.Path = append([]string{"ext"}, s.Path...)
			*sources = append(*sources, s)
		}
	}
	return newClaimMapping(cfg)
}

// ClerkClaims reads session tokens of Clerk, of both versions. Roles and
// permissions lose the "org:" in front: "admin", "invoices:create". They are
// those of the active organization, which is the tenant. Clerk writes no "aud":
// the client is the web origin in "azp", for [VerifierConfig.ClientIDs] to check. A
// session that is pending, because its user has something left to do, is
// refused.
func ClerkClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		Refuse: []ClaimTest{{Path: []string{"sts"}, Values: []string{"pending"}}},
		Tenant: []ClaimSource{Claim("o", "id"), Claim("org_id")},
		Roles: []ClaimSource{
			{Path: []string{"o", "rol"}, TrimPrefix: "org:"},
			{Path: []string{"org_role"}, TrimPrefix: "org:"},
		},
		Permissions: []ClaimSource{
			{Path: []string{"o"}, Form: claimClerkPermissions},
			{Path: []string{"org_permissions"}, TrimPrefix: "org:"},
		},
	})
}

// SupabaseClaims reads access tokens of Supabase. "role" there is a role of the
// database: it becomes the extra attribute "role", and the application's roles
// are read from "app_metadata", which users cannot write, and from "user_role",
// where a hook may put one. Who signed in anonymously is a user like others but
// for the extra attribute "anonymous".
func SupabaseClaims() *ClaimMapping {
	return newClaimMapping(ClaimMappingConfig{
		SessionID: []ClaimSource{Claim("session_id")},
		ACR:       []ClaimSource{Claim("aal")},
		Tenant:    []ClaimSource{Claim("app_metadata", "tenant")},
		Roles:     []ClaimSource{Claim("app_metadata", "roles"), Claim("app_metadata", "role"), Claim("user_role")},
		Extra:     map[string][]ClaimSource{"role": {Claim("role")}, "anonymous": {Claim("is_anonymous")}},
		Service:   []ClaimTest{{Path: []string{"role"}, Values: []string{"service_role"}}},
	})
}
