package jwtauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/MicahParks/jwkset"
)

// ParseJWK reads one public JSON Web Key (RFC 7517) that may verify signatures.
// A key that says it is for encryption, a private key and a symmetric one are
// refused; for the last there is [NewHMACKey]. Certificates in the key are not
// read.
func ParseJWK(text []byte) (*Key, error) {
	m, err := readJSONObject(text)
	if err != nil {
		return nil, fmt.Errorf("jwtauth: JWK: %w", err)
	}
	key, err := m.key()
	if err != nil {
		return nil, fmt.Errorf("jwtauth: JWK: %w", err)
	}
	return key, nil
}

// ParseJWKSet reads the keys of a JSON Web Key Set (RFC 7517 section 5). A key
// that cannot be used does not spoil the others: it is left out, and skipped
// says why. Left out are keys that [ParseJWK] refuses, keys without an ID, and
// keys for signatures that share an ID. A set of which nothing remains is an error.
func ParseJWKSet(text []byte) (keys []*Key, skipped []error, err error) {
	set, err := parseJWKSet(text, len(text))
	if err != nil {
		return nil, nil, fmt.Errorf("jwtauth: JWK Set: %w", err)
	}
	return set.keys, set.skipped, nil
}

// jwkSet is what a JWK Set came to.
type jwkSet struct {
	keys    []*Key // in the order of the set; their IDs are not empty and differ
	skipped []error
}

// parseJWKSet reads a set of at most maxKeys keys, usable or not.
func parseJWKSet(text []byte, maxKeys int) (jwkSet, error) {
	doc, err := readJSONObject(text)
	if err != nil {
		return jwkSet{}, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(doc["keys"], &raw); err != nil || raw == nil {
		return jwkSet{}, errors.New(`there is no array named "keys"`)
	}
	if len(raw) > maxKeys {
		return jwkSet{}, fmt.Errorf("there are %d keys, more than %d", len(raw), maxKeys)
	}
	if len(raw) == 0 {
		return jwkSet{}, errors.New("there are no keys")
	}
	set := readKeys(raw)
	if len(set.keys) == 0 {
		return jwkSet{}, fmt.Errorf("none of %d keys is usable: %w", len(raw), set.skipped[0])
	}
	return set, nil
}

func readKeys(raw []json.RawMessage) jwkSet {
	var set jwkSet
	var keys []*Key
	times := make(map[string]int, len(raw))
	for i, text := range raw {
		m, err := readJSONObject(text)
		if err != nil {
			set.skipped = append(set.skipped, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		id, _ := m.text("kid")
		key, err := m.key()
		if err == nil && key.id == "" {
			err = errors.New("it has no ID")
		}
		if !errors.Is(err, errNotForSigning) {
			times[id]++
		}
		if err != nil {
			set.skipped = append(set.skipped, fmt.Errorf("key %d, %.64q: %w", i, id, err))
			continue
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		if times[key.id] > 1 {
			set.skipped = append(set.skipped, fmt.Errorf("key %.64q: another key has the same ID", key.id))
			continue
		}
		set.keys = append(set.keys, key)
	}
	return set
}

// errNotForSigning marks a key that was not published for tokens, so that it
// does not make the ID ambiguous that it shares with one that was.
var (
	errNotForSigning = errors.New("it is not for verifying signatures")
	errOtherUse      = fmt.Errorf(`%w: "use" is not "sig"`, errNotForSigning)
	errOtherOps      = fmt.Errorf(`%w: "key_ops" has no "verify"`, errNotForSigning)
)

// jsonObject is one JSON object, names taken exactly as they are written:
// encoding/json would match them in any case and let the last of several win.
type jsonObject map[string]json.RawMessage

var errNotObject = errors.New("it is not a JSON object")

func readJSONObject(text []byte) (jsonObject, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	m := jsonObject{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errors.New("it is not JSON")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("it is not JSON")
		}
		if _, twice := m[name.(string)]; twice {
			return nil, fmt.Errorf("it has two members %.40q", name)
		}
		m[name.(string)] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if len(bytes.TrimSpace(text[dec.InputOffset():])) > 0 {
		return nil, errors.New("something follows the JSON object")
	}
	return m, nil
}

// has reports whether the member is there; null counts as absent.
func (m jsonObject) has(name string) bool {
	v, ok := m[name]
	return ok && string(v) != "null"
}

// text returns the member, which must be a string, and "" when it is absent.
func (m jsonObject) text(name string) (string, error) {
	if !m.has(name) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(m[name], &s); err != nil {
		return "", fmt.Errorf("%q is not a string", name)
	}
	return s, nil
}

// key makes a Key of a JWK that may be used to verify signatures. The material
// is decoded by jwkset, which sees the public members only.
func (m jsonObject) key() (*Key, error) {
	if err := m.checkUse(); err != nil {
		return nil, err
	}
	r := memberReader{object: m}
	id, issuer, algorithm, curve := r.text("kid"), r.text("issuer"), r.text("alg"), r.text("crv")
	public := jwkset.JWKMarshal{
		KTY: jwkset.KTY(r.text("kty")), CRV: jwkset.CRV(curve),
		X: r.coordinate("x", curve), Y: r.coordinate("y", curve), N: r.number("n"), E: r.number("e"),
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	if m.has("alg") && algorithm == "" {
		return nil, errors.New(`"alg" is empty`)
	}
	jwk, err := jwkset.NewJWKFromMarshal(public, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %.200q", err.Error())
	}
	key, err := newPublicKey(id, Algorithm(algorithm), jwk.Key())
	if err != nil {
		return nil, err
	}
	key.issuer = issuer
	return key, nil
}

// jwk shows a public key as jwkset does.
func (k *Key) jwk() (jwkset.JWK, error) {
	return jwkset.NewJWKFromKey(k.material, jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{ALG: jwkset.ALG(k.algorithm), KID: k.id, USE: jwkset.UseSig},
	})
}

// memberReader reads members of a JWK and remembers every problem.
type memberReader struct {
	object jsonObject
	errs   []error
}

func (r *memberReader) text(name string) string {
	s, err := r.object.text(name)
	r.errs = append(r.errs, err)
	return s
}

// number reads what is base64url, which some providers pad.
func (r *memberReader) number(name string) string {
	s := r.text(name)
	if _, err := strictBase64.DecodeString(strings.TrimRight(s, "=")); err != nil {
		r.errs = append(r.errs, fmt.Errorf("%q is not base64url", name))
	}
	return s
}

// coordinate reads a number that has as many bytes as the curve's.
func (r *memberReader) coordinate(name, curve string) string {
	s, size := r.number(name), coordinateSize(curve)
	if r.object.has(name) && size > 0 && strictBase64.DecodedLen(len(strings.TrimRight(s, "="))) != size {
		r.errs = append(r.errs, fmt.Errorf("%q does not have the %d bytes of %s", name, size, curve))
	}
	return s
}

// coordinateSize returns how many bytes a coordinate has, leading zeros included
// (RFC 7518 section 6.2.1.2, RFC 8037 section 2); 0 for a curve that is not known
// here.
func coordinateSize(curve string) int {
	switch curve {
	case "P-256", "Ed25519":
		return 32
	case "P-384":
		return 48
	case "P-521":
		return 66
	}
	return 0
}

// verifyingUse reports whether keys of that use verify tokens. SPIFFE has a use
// of its own for the keys of JWT-SVIDs in a bundle, which also holds the roots of
// certificates (SPIFFE Trust Domain and Bundle section 4.2.2).
func verifyingUse(use string) bool { return use == "sig" || use == "jwt-svid" }

// checkUse refuses what must not verify tokens, whatever its material.
func (m jsonObject) checkUse() error {
	if m.has("use") {
		if use, err := m.text("use"); err != nil || !verifyingUse(use) {
			return errOtherUse
		}
	}
	if m.has("key_ops") {
		var ops []string
		if json.Unmarshal(m["key_ops"], &ops) != nil || !slices.Contains(ops, "verify") {
			return errOtherOps
		}
	}
	if kty, _ := m.text("kty"); kty == "oct" || m.has("k") {
		return errors.New("it is a symmetric key")
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		if m.has(name) {
			return errors.New("it is a private key, which everybody can read now: withdraw it")
		}
	}
	return nil
}
