package jwtauth

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	jwksPath          = "/.well-known/jwks.json"
	openIDConfigPath  = "/.well-known/openid-configuration"
	oauthMetadataPath = "/.well-known/oauth-authorization-server"
	metadataMaxAge    = time.Hour
)

// JWKSURL returns where [Issuer.Handler] serves the key set: the issuer
// identifier followed by /.well-known/jwks.json.
func (i *Issuer) JWKSURL() string { return strings.TrimSuffix(i.issuer, "/") + jwksPath }

// Handler returns a handler for what verifiers fetch, at the paths that follow
// from the issuer identifier: the key set (see [Issuer.JWKSURL]), and a document
// that leads to it under the names of OpenID Connect Discovery and of RFC 8414.
// Any other path is 404.
//
// The document has what a resource server needs, issuer and jwks_uri, and no
// endpoints for clients, since an Issuer has none.
func (i *Issuer) Handler() http.Handler {
	metadata, _ := json.Marshal(map[string]string{"issuer": i.issuer, "jwks_uri": i.JWKSURL()}) // strings always marshal
	jwks := i.keys.JWKSHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case i.path + jwksPath:
			jwks.ServeHTTP(w, r)
		case i.path + openIDConfigPath, oauthMetadataPath + i.path:
			serveDocument(w, r, "application/json", metadataMaxAge, metadata)
		default:
			http.NotFound(w, r)
		}
	})
}
