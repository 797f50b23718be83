package jwtauth

import (
	"strings"

	"github.com/authctx/authctx/internal/strictjson"
)

// text returns the first text that is there.
func (r *claimReader) text(sources []ClaimSource) string {
	for i := range sources {
		s := &sources[i]
		if s.Constant != "" {
			return s.Constant
		}
		v := r.follow(s.Path)
		if !v.Exists() {
			continue
		}
		text, problem := s.text(v)
		if problem != "" {
			r.fail(s.Path, problem)
			return ""
		}
		if text = s.prefixed(text); text != "" {
			return text
		}
	}
	return ""
}

// text returns what is there as a text, or why it is none. A whole number is one
// as it is written: read as a float64, two large ones could become the same.
func (s *ClaimSource) text(v strictjson.Value) (text, problem string) {
	text, ok := v.Text()
	switch {
	case ok:
		return text, ""
	case s.isString():
		return "", "is not a string"
	case v.Kind() == strictjson.Number && !strings.ContainsAny(v.Raw(), "-.eE"):
		return v.Raw(), ""
	}
	return "", "is neither a string nor a whole number in digits"
}

// isString reports whether the claim is a string to everybody: by RFC 7519, RFC
// 7662, RFC 9068 or OpenID Connect, or since [RFC9068Claims] reads it.
func (s *ClaimSource) isString() bool {
	if len(s.Path) > 1 {
		return false
	}
	switch s.Path[0] {
	case "iss", "sub", "aud", "jti", "client_id", "azp", "cid", "sid", "acr", "tenant",
		"name", "preferred_username", "username", "email":
		return true
	}
	return false
}
