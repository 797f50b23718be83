package httpctx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/authctx/authctx/internal/grammar"
	"github.com/authctx/authctx/internal/loopback"
)

// metadataPath is where metadata is, in front of the resource's own path (RFC
// 9728 section 3).
const metadataPath = "/.well-known/oauth-protected-resource"

// ResourceMetadata tells clients that know only the address of an API where to get
// a token for it and with which scopes (OAuth 2.0 Protected Resource Metadata, RFC
// 9728). Clients of the Model Context Protocol expect it. What the published
// document says about Bearer and DPoP comes from the server's authenticator.
//
// Everybody may read the document. It grants nothing.
type ResourceMetadata struct {
	// Resource is the identifier of the API ("resource"): exactly the URL that
	// clients are given, or, where an origin is a single API, that origin without
	// a slash at the end. Some clients reject anything else. It is https, or http
	// on this machine, without query and fragment. Clients ask for tokens whose
	// audience it is (RFC 8707), so the verifier should list it among its
	// audiences. It is required.
	Resource string
	// AuthorizationServers are the issuers from which clients can get a token (RFC
	// 8414 section 2). At least one is required.
	AuthorizationServers []string
	// Scopes are those that clients may ask for, not necessarily all there are:
	// some clients ask for every scope listed here, and for none if the list is
	// empty.
	Scopes []string
	// CertificateBoundTokens says that tokens may be bound to the certificate of a
	// client (RFC 8705).
	CertificateBoundTokens bool
	// Name is shown to people who are asked for their consent; it may be empty, and
	// so may the addresses of pages for them.
	Name, DocumentationURL, PolicyURL, TermsOfServiceURL string
}

// metadataDocument is what clients read (RFC 9728 section 2).
type metadataDocument struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	// BearerMethods is not there where nobody knows, and empty where there is none.
	BearerMethods          []string `json:"bearer_methods_supported,omitzero"`
	DPoPAlgorithms         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPRequired           bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	CertificateBoundTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	Name                   string   `json:"resource_name,omitempty"`
	Documentation          string   `json:"resource_documentation,omitempty"`
	Policy                 string   `json:"resource_policy_uri,omitempty"`
	TermsOfService         string   `json:"resource_tos_uri,omitempty"`
}

// metadata is a document with its address.
type metadata struct {
	url, path string
	body      []byte
}

// validate reports what clients could not use.
func (m *ResourceMetadata) validate(bad func(string)) {
	if _, err := parseResource(m.Resource); err != nil {
		bad("ResourceMetadata.Resource " + err.Error())
	}
	if len(m.AuthorizationServers) == 0 {
		bad("ResourceMetadata.AuthorizationServers is required")
	}
	for i, issuer := range m.AuthorizationServers {
		if _, err := parsePublicURL(issuer); err != nil {
			bad(fmt.Sprintf("ResourceMetadata.AuthorizationServers[%d] %v", i, err))
		}
	}
	for i, scope := range m.Scopes {
		if !grammar.IsScopeToken(scope) {
			bad(fmt.Sprintf("ResourceMetadata.Scopes[%d] is not a scope token (RFC 6749 section 3.3)", i))
		}
	}
	for _, page := range [...]struct{ name, url string }{
		{"DocumentationURL", m.DocumentationURL}, {"PolicyURL", m.PolicyURL}, {"TermsOfServiceURL", m.TermsOfServiceURL},
	} {
		u, err := url.Parse(page.url)
		if page.url != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			bad("ResourceMetadata." + page.name + " is not the address of a page")
		}
	}
}

// parsePublicURL reads the URL of an API or an issuer, which clients compare letter
// by letter.
func parsePublicURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return nil, errors.New("is required")
	case err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#"):
		return nil, errors.New("must have a scheme, a host, perhaps a path, and nothing else")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback.Is(u.Hostname())):
		return nil, errors.New("must be https; http is for loopback addresses")
	case !isHost(u.Host):
		return nil, errors.New("must have a host as clients send it, in ASCII (xn--…) and without a zone")
	case u.Path != "" && u.Path != "/" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/"):
		return nil, errors.New("must have a path without dots and empty elements")
	case u.String() != s:
		return nil, errors.New("must be written as it is sent, with a scheme in lower case and escapes in the path")
	}
	return u, nil
}

// parseResource reads the URL of an API, whose host some clients write anew.
func parseResource(s string) (*url.URL, error) {
	u, err := parsePublicURL(s)
	if err != nil {
		return nil, err
	}
	usual := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	_, err = strconv.ParseUint(cmp.Or(u.Port(), "1"), 10, 16)
	ip, noIP := netip.ParseAddr(u.Hostname())
	switch {
	case err != nil || u.Port() == usual || strings.HasPrefix(u.Port(), "0") || strings.HasSuffix(u.Host, ":"):
		return nil, errors.New("must have no port that is usual, cannot be, or begins with a zero")
	case strings.ToLower(u.Host) != u.Host || noIP == nil && (ip.String() != u.Hostname() || ip.Is4In6()) || noIP != nil && isNumber(u.Hostname()):
		return nil, errors.New("must have its host in lower case, and an address in its usual form")
	}
	return u, nil
}

// isNumber reports whether clients take a host for an address since its last part is
// a number: "10.1", "0x7f.1".
func isNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	_, err := strconv.ParseUint(host[strings.LastIndexByte(host, '.')+1:], 0, 64)
	return err == nil || isDigits(host[strings.LastIndexByte(host, '.')+1:])
}

// newMetadata makes the document of a valid m for tokens that come by schemes,
// nil for nil.
func newMetadata(m *ResourceMetadata, schemes []string) *metadata {
	if m == nil {
		return nil
	}
	u, _ := parseResource(m.Resource) // validated
	doc := metadataDocument{
		Resource: m.Resource, AuthorizationServers: m.AuthorizationServers, Scopes: m.Scopes,
		CertificateBoundTokens: m.CertificateBoundTokens, Name: m.Name,
		Documentation: m.DocumentationURL, Policy: m.PolicyURL, TermsOfService: m.TermsOfServiceURL,
	}
	doc.describe(schemes)
	body, _ := json.Marshal(doc) // texts and truth values cannot fail
	at := metadataPath
	if u.Path != "/" {
		at += u.EscapedPath()
	}
	return &metadata{u.Scheme + "://" + u.Host + at, at, append(body, '\n')}
}

// describe says how tokens are sent, if the authenticator says it.
func (d *metadataDocument) describe(schemes []string) {
	if len(schemes) == 0 {
		return
	}
	d.BearerMethods = []string{}
	for _, scheme := range schemes {
		name, parameters, _ := strings.Cut(scheme, " ")
		switch {
		case isBearer(scheme):
			d.BearerMethods = []string{"header"}
		case strings.EqualFold(name, "DPoP"):
			d.DPoPRequired = true
			for _, alg := range strings.Fields(parameter(parameters, "algs")) {
				if !slices.Contains(d.DPoPAlgorithms, alg) { // which several ways may have
					d.DPoPAlgorithms = append(d.DPoPAlgorithms, alg)
				}
			}
		}
	}
	d.DPoPRequired = d.DPoPRequired && len(d.BearerMethods) == 0
}

// unescape leaves no quote within a quoted text but for that at its end.
var unescape = strings.NewReplacer(`\\`, "/", `\"`, "'")

// parameter returns one of the parameters of a challenge, empty if it is not there
// (RFC 9110 section 11.2).
func parameter(parameters, name string) string {
	for parameters != "" {
		found, rest, _ := strings.Cut(parameters, "=")
		var value string
		if quoted, ok := strings.CutPrefix(strings.TrimSpace(rest), `"`); ok {
			value, rest, _ = strings.Cut(unescape.Replace(quoted), `"`)
			_, parameters, _ = strings.Cut(rest, ",")
		} else {
			value, parameters, _ = strings.Cut(rest, ",")
		}
		if strings.EqualFold(strings.TrimSpace(found), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// namesMetadata reports whether a scheme has a parameter that leads to a document.
func namesMetadata(scheme string) bool {
	_, parameters, _ := strings.Cut(scheme, " ")
	return parameter(parameters, "resource_metadata") != ""
}

// parameter is what challenges say of it (RFC 9728 section 5.1).
func (m *metadata) parameter() string {
	if m == nil {
		return ""
	}
	return `, resource_metadata="` + m.url + `"`
}

// ResourceMetadataPath returns where [Server.Handler] publishes the document of
// [ServerConfig.ResourceMetadata], empty without one. A mux outside routes it there,
// even if the rest of what the handler serves is elsewhere.
func (s *Server) ResourceMetadataPath() string {
	if s.metadata == nil {
		return ""
	}
	return s.metadata.path
}

// asks reports whether r is about the document.
func (m *metadata) asks(r *http.Request) bool {
	if m == nil || r.URL.EscapedPath() != m.path {
		return false
	}
	return r.Method == http.MethodGet || r.Method == http.MethodHead || asksBrowser(r)
}

// asksBrowser reports whether a browser asks if it may send a request of another
// origin's program.
func asksBrowser(r *http.Request) bool {
	return r.Method == http.MethodOptions && single(r.Header["Access-Control-Request-Method"])
}

// answer gives strangers the document, and as long for taking it as a refusal. A
// program in a browser may read it, from wherever that was loaded.
func (m *metadata) answer(w http.ResponseWriter, r *http.Request) {
	setRefusalDeadlines(w, r)
	defer letGo(r)
	h := w.Header()
	if len(h["Access-Control-Allow-Origin"]) == 0 { // nobody outside has said more
		h.Set("Access-Control-Allow-Origin", "*")
		if asksBrowser(r) {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "*")
		}
	}
	if asksBrowser(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.body) // the client may have gone
	}
}
