package jwtauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

const (
	maxProofBytes = 8 << 10 // an RSA key and a long URL fit in
	maxProofID    = 256
	proofType     = "dpop+jwt"
)

// proof is a DPoP proof (RFC 9449 section 4.2) with the key that its header
// brings along. Nothing is verified yet.
type proof struct {
	compact    compact
	algorithm  Algorithm
	key        *Key
	thumbprint string // of key
}

// proofClaims are what a proof says. All but the nonce are there.
type proofClaims struct {
	id, method, url, tokenHash, nonce string
	issued                            time.Time
	expires, notBefore                time.Time // zero when absent
}

// parseProof reads the header of a proof and its key, which must be as strong as
// any other.
func parseProof(text string, allowed *accepted) (proof, error) {
	c, err := cut(text, maxProofBytes)
	if err != nil {
		return proof{}, badProof(err)
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.decodeHeader(c.header()); err != nil {
		return proof{}, badProof(err)
	}
	h, err := readHeader(&s.doc, allowed)
	if err != nil {
		return proof{}, badProof(err)
	}
	if typ, _ := s.doc.Get("typ").Text(); typ != proofType {
		return proof{}, errProofType
	}
	members := jsonObject{} // strict already
	for name, v := range s.doc.Get("jwk").Members() {
		members[name] = json.RawMessage(v.Raw())
	}
	key, err := members.key()
	if err != nil {
		return proof{}, badProof(err)
	}
	// The thumbprint is made of the key and not of how the key is written,
	// which may be in several ways.
	jwk, err := publicJWK(key)
	if err != nil {
		return proof{}, badProof(err)
	}
	return proof{c, h.algorithm, key, thumbprint(jwk)}, nil
}

// verify checks the signature and returns the claims.
func (p proof) verify() (proofClaims, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.decode(p.compact); err != nil {
		return proofClaims{}, badProof(err)
	}
	if !p.key.verifies(p.algorithm, p.compact.signingInput(), s.signature) {
		return proofClaims{}, errProofSignature
	}
	if err := proofParser.Parse(&s.doc, string(s.payload)); err != nil {
		return proofClaims{}, badProof(err)
	}
	return readProofClaims(&s.doc)
}

var proofParser = strictjson.NewParser(strictjson.Config{
	Known: []string{"jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf"}, MaxValues: 256,
})

func readProofClaims(doc *strictjson.Doc) (c proofClaims, err error) {
	c.id, _ = doc.Get("jti").Text()
	c.method, _ = doc.Get("htm").Text()
	c.url, _ = doc.Get("htu").Text()
	c.tokenHash, _ = doc.Get("ath").Text()
	var ok1, ok2, ok3, ok4 bool
	c.nonce, ok1 = optionalText(doc, "nonce")
	c.issued, ok2 = doc.Get("iat").Date()
	c.expires, ok3 = optionalDate(doc.Get("exp"))
	c.notBefore, ok4 = optionalDate(doc.Get("nbf"))
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4 || c.id == "" || c.method == "" || c.url == "" || c.tokenHash == "":
		return proofClaims{}, errProofClaims
	case len(c.id) > maxProofID:
		return proofClaims{}, errProofID
	}
	return c, nil
}

// check compares the claims with the request they came with, but for the URL and
// the nonce. Besides iat it judges exp and nbf where a client adds them, as in
// any JWT (RFC 7519 section 4.1).
func (c proofClaims) check(method, token string, now time.Time, cfg DPoPConfig) error {
	hash := sha256.Sum256([]byte(token))
	latest := now.Add(cfg.Leeway)
	switch {
	case c.method != method:
		return errProofMethod
	case !sameText(c.tokenHash, base64.RawURLEncoding.EncodeToString(hash[:])):
		return errProofToken
	case c.issued.After(latest) || c.notBefore.After(latest):
		return errProofEarly
	case !now.Before(c.end(cfg)) || !c.expires.IsZero() && !now.Before(c.expires.Add(cfg.Leeway)):
		return errProofLate
	}
	return nil
}

// end is when the proof is too old.
func (c proofClaims) end(cfg DPoPConfig) time.Time { return c.issued.Add(cfg.MaxAge + cfg.Leeway) }

// badProof makes an error about tokens one about a proof.
func badProof(err error) error {
	if e, ok := errors.AsType[*authctx.Error](err); ok {
		err = e.Cause
	}
	return &authctx.Error{Reason: authctx.InvalidProof, Cause: fmt.Errorf("DPoP proof: %w", err)}
}

var (
	errProofCount     = refusal(authctx.InvalidProof, "there must be exactly one DPoP proof")
	errProofType      = refusal(authctx.InvalidProof, "typ of the DPoP proof is not dpop+jwt")
	errProofSignature = refusal(authctx.InvalidProof, "signature of the DPoP proof does not verify")
	errProofClaims    = refusal(authctx.InvalidProof, "jti, htm, htu, iat, ath or another claim of the DPoP proof is missing or of a wrong kind")
	errProofID        = refusal(authctx.InvalidProof, "jti of the DPoP proof is too long")
	errProofMethod    = refusal(authctx.InvalidProof, "DPoP proof is for another method")
	errProofURL       = refusal(authctx.InvalidProof, "DPoP proof is for another URL")
	errProofToken     = refusal(authctx.InvalidProof, "DPoP proof is for another token")
	errProofEarly     = refusal(authctx.InvalidProof, "DPoP proof is from the future")
	errProofLate      = refusal(authctx.InvalidProof, "DPoP proof is too old")
	errProofUsed      = refusal(authctx.InvalidProof, "DPoP proof was used before")
	errProofNonce     = refusal(authctx.NonceRequired, "")
)
