//lint:file-ignore SA1019 broken keys can only be made from raw coordinates

package jwtauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"

	"github.com/authctx/authctx/jwtauth"
)

type jwkMembers = map[string]any

// unusableKeys are keys that must not verify anything, however good the set is
// that they are in. The good key beside them must.
func unusableKeys() map[string]string {
	rsaKey, p256, ed := &keysRSA().PublicKey, &keysP256().PublicKey, edKey(1)
	private := keysRSA()
	pad := func(n *big.Int) string { return jwkBytes(n.FillBytes(make([]byte, 33))) }
	return map[string]string{
		"no ID":                 jwk("", rsaKey, jwkMembers{"kid": nil}),
		"an empty ID":           jwk("", rsaKey),
		"a null ID":             jwk("", ed, jwkMembers{"kid": json.RawMessage("null")}),
		"a number as its ID":    jwk("", rsaKey, jwkMembers{"kid": 7}),
		"an ID of 257 bytes":    jwk(strings.Repeat("k", 257), rsaKey),
		"use enc":               jwk("bad", rsaKey, jwkMembers{"use": "enc"}),
		"use foo":               jwk("bad", rsaKey, jwkMembers{"use": "foo"}),
		"use x509-svid":         jwk("bad", rsaKey, jwkMembers{"use": "x509-svid"}),
		"use SIG":               jwk("bad", rsaKey, jwkMembers{"use": "SIG"}),
		"an empty use":          jwk("bad", rsaKey, jwkMembers{"use": ""}),
		"a list as its use":     jwk("bad", rsaKey, jwkMembers{"use": []string{"sig"}}),
		"key_ops sign":          jwk("bad", rsaKey, jwkMembers{"key_ops": []string{"sign"}}),
		"key_ops empty":         jwk("bad", rsaKey, jwkMembers{"key_ops": []string{}}),
		"key_ops as a text":     jwk("bad", rsaKey, jwkMembers{"key_ops": "verify"}),
		"trailing bits in x":    jwk("bad", ed, jwkMembers{"x": laxBase64(jwkBytes(ed))}),
		"alg none":              jwk("bad", rsaKey, jwkMembers{"alg": "none"}),
		"alg empty":             jwk("bad", rsaKey, jwkMembers{"alg": ""}),
		"alg lower case":        jwk("bad", rsaKey, jwkMembers{"alg": "rs256"}),
		"alg for encryption":    jwk("bad", rsaKey, jwkMembers{"alg": "RSA-OAEP"}),
		"alg HMAC on RSA":       jwk("bad", rsaKey, jwkMembers{"alg": "HS256"}),
		"alg of another curve":  jwk("bad", p256, jwkMembers{"alg": "ES384"}),
		"alg of another type":   jwk("bad", ed, jwkMembers{"alg": "RS256"}),
		"oct":                   `{"kty":"oct","kid":"bad","alg":"HS256","k":"` + jwkBytes(make([]byte, 64)) + `"}`,
		"oct of one byte":       `{"kty":"oct","kid":"bad","k":"AA"}`,
		"oct without k":         `{"kty":"oct","kid":"bad"}`,
		"RSA with k":            jwk("bad", rsaKey, jwkMembers{"k": "AAAA"}),
		"an RSA private key":    jwk("bad", rsaKey, jwkMembers{"d": jwkBytes(private.D.Bytes())}),
		"RSA with more primes":  jwk("bad", rsaKey, jwkMembers{"oth": []any{map[string]string{"r": "AQAB", "d": "AQAB", "t": "AQAB"}}}),
		"RSA with only a prime": jwk("bad", rsaKey, jwkMembers{"p": jwkBytes(private.Primes[0].Bytes())}),
		"RSA with only q":       jwk("bad", rsaKey, jwkMembers{"q": jwkBytes(private.Primes[1].Bytes())}),
		"RSA with only dp":      jwk("bad", rsaKey, jwkMembers{"dp": jwkBytes(private.Precomputed.Dp.Bytes())}),
		"RSA with only dq":      jwk("bad", rsaKey, jwkMembers{"dq": jwkBytes(private.Precomputed.Dq.Bytes())}),
		"RSA with only qi":      jwk("bad", rsaKey, jwkMembers{"qi": jwkBytes(private.Precomputed.Qinv.Bytes())}),
		"an EC private key":     jwk("bad", p256, jwkMembers{"d": jwkBytes(keysP256().D.Bytes())}),
		"an Ed25519 private":    jwk("bad", ed, jwkMembers{"d": jwkBytes(make([]byte, 32))}),
		"no kty":                jwk("bad", rsaKey, jwkMembers{"kty": nil}),
		"an unknown kty":        jwk("bad", rsaKey, jwkMembers{"kty": "AKP"}),
		"kty lower case":        jwk("bad", rsaKey, jwkMembers{"kty": "rsa"}),
		"kty of another":        jwk("bad", rsaKey, jwkMembers{"kty": "EC"}),
		"Ed448":                 jwk("bad", ed, jwkMembers{"crv": "Ed448"}),
		"X25519":                jwk("bad", ed, jwkMembers{"crv": "X25519"}),
		"secp256k1":             jwk("bad", p256, jwkMembers{"crv": "secp256k1"}),
		"P-384 for P-256":       jwk("bad", p256, jwkMembers{"crv": "P-384"}),
		"no modulus":            jwk("bad", rsaKey, jwkMembers{"n": nil}),
		"no exponent":           jwk("bad", rsaKey, jwkMembers{"e": nil}),
		"RSA of 1536 bits":      jwk("bad", &keysWeakRSA().PublicKey),
		"RSA of 8193 bits":      jwk("bad", rsaKey, jwkMembers{"n": jwkBytes(new(big.Int).SetBit(big.NewInt(1), 8192, 1).Bytes())}),
		"an even modulus":       jwk("bad", rsaKey, jwkMembers{"n": jwkBytes(new(big.Int).Lsh(big.NewInt(1), 2048).Bytes())}),
		"exponent 1":            jwk("bad", rsaKey, jwkMembers{"e": "AQ"}),
		"exponent 2":            jwk("bad", rsaKey, jwkMembers{"e": "Ag"}),
		"exponent of 9 bytes":   jwk("bad", rsaKey, jwkMembers{"e": jwkBytes([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}),
		"exponent of 5 bytes":   jwk("bad", rsaKey, jwkMembers{"e": jwkBytes([]byte{1, 0, 1, 0, 1})}),
		"not base64":            jwk("bad", rsaKey, jwkMembers{"n": "!!!"}),
		"a number as modulus":   jwk("bad", rsaKey, jwkMembers{"n": 5}),
		"off the curve":         jwk("bad", p256, jwkMembers{"y": jwkBytes(new(big.Int).Add(p256.Y, big.NewInt(1)).Bytes())}),
		"x beyond p":            jwk("bad", p256, jwkMembers{"x": pad(new(big.Int).Add(p256.X, elliptic.P256().Params().P))}),
		"the point at infinity": jwk("bad", p256, jwkMembers{"x": jwkBytes(make([]byte, 32)), "y": jwkBytes(make([]byte, 32))}),
		"no y":                  jwk("bad", p256, jwkMembers{"y": nil}),
		"x a byte too long":     jwk("bad", p256, jwkMembers{"x": pad(p256.X)}),
		"y a byte too short":    jwk("bad", p256, jwkMembers{"y": jwkBytes(p256.Y.FillBytes(make([]byte, 32))[1:])}),
		"x with 100 zeros":      jwk("bad", p256, jwkMembers{"x": jwkBytes(p256.X.FillBytes(make([]byte, 132)))}),
		"Ed25519 of 33 bytes":   jwk("bad", ed, jwkMembers{"x": jwkBytes(append([]byte{0}, ed...))}),
		"Ed25519 of 31 bytes":   jwk("bad", ed, jwkMembers{"x": jwkBytes(ed[:31])}),
		"a name twice":          `{"kid":"bad",` + jwk("bad", ed)[1:],
		"an issuer as a number": jwk("bad", ed, jwkMembers{"issuer": 1}),
		"a text":                `"bad"`,
		"null":                  `null`,
		"a list":                `[]`,
		"nothing in it":         `{}`,
	}
}

func TestKeySet_OneBadKeyDoesNotSpoilTheOthers(t *testing.T) {
	for name, bad := range unusableKeys() {
		t.Run(name, func(t *testing.T) {
			if !json.Valid([]byte(bad)) {
				t.Fatalf("the test is wrong: %s", bad)
			}
			keys, skipped, err := jwtauth.ParseJWKSet([]byte(jwks(bad, jwk("good", edKey(9)))))
			if err != nil || len(keys) != 1 || keys[0].ID() != "good" || len(skipped) != 1 {
				t.Fatalf("got %v, %v, %v", keys, skipped, err)
			}
			if text := skipped[0].Error(); len(text) > 500 || strings.Contains(text, jwkBytes(keysRSA().D.Bytes())[:20]) {
				t.Errorf("says too much: %s", text)
			}
			if _, _, err := jwtauth.ParseJWKSet([]byte(jwks(bad))); err == nil {
				t.Error("a set of nothing else was taken")
			}
		})
	}
}

// A coordinate has the size of its curve (RFC 7518 section 6.2.1.2): a provider
// that drops leading zeros publishes another key one time in 128.
func TestRFC7518_6_2_1_2_ACoordinateThatBeginsWithZeroIsWrittenInFull(t *testing.T) {
	for {
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		x := must(key.PublicKey.Bytes())[1:33]
		if x[0] != 0 {
			continue
		}
		if _, err := jwtauth.ParseJWK([]byte(jwk("k", &key.PublicKey))); err != nil {
			t.Errorf("in full: %v", err)
		}
		if _, err := jwtauth.ParseJWK([]byte(jwk("k", &key.PublicKey, jwkMembers{"x": jwkBytes(x[1:])}))); err == nil || !strings.Contains(err.Error(), "32 bytes") {
			t.Errorf("cut: %v", err)
		}
		return
	}
}

func TestParseJWKRefusesWhatASetLeavesOut(t *testing.T) {
	for name, bad := range unusableKeys() {
		key, err := jwtauth.ParseJWK([]byte(bad))
		if strings.Contains(name, "no ID") || strings.Contains(name, "an empty ID") || strings.Contains(name, "a null ID") {
			if err != nil || key.ID() != "" { // a key alone needs none
				t.Errorf("%s: %v, %v", name, key, err)
			}
		} else if err == nil || key != nil {
			t.Errorf("%s: taken as %v", name, key)
		}
	}
}

func TestUsableKeysAreTaken(t *testing.T) {
	rsaKey := &keysRSA().PublicKey
	for _, c := range []struct {
		name, text string
		want       jwtauth.Algorithm
	}{
		{"RSA", jwk("k", rsaKey, jwkMembers{"alg": "RS256"}), jwtauth.RS256},
		{"RSA for PSS", jwk("k", rsaKey, jwkMembers{"alg": "PS384"}), jwtauth.PS384},
		{"RSA that does not say", jwk("k", rsaKey), ""},
		{"P-256", jwk("k", &keysP256().PublicKey), jwtauth.ES256},
		{"P-384", jwk("k", &keysP384().PublicKey, jwkMembers{"alg": "ES384"}), jwtauth.ES384},
		{"P-521", jwk("k", &keysP521().PublicKey), jwtauth.ES512},
		{"Ed25519", jwk("k", edKey(1)), jwtauth.EdDSA},
		{"use sig", jwk("k", edKey(1), jwkMembers{"use": "sig"}), jwtauth.EdDSA},
		{"use jwt-svid", jwk("k", edKey(1), jwkMembers{"use": "jwt-svid"}), jwtauth.EdDSA},
		{"key_ops verify", jwk("k", edKey(1), jwkMembers{"key_ops": []string{"verify"}}), jwtauth.EdDSA},
		{"key_ops that nobody knows", jwk("k", edKey(1), jwkMembers{"key_ops": []string{"dance", "verify"}}), jwtauth.EdDSA},
		{"null members", jwk("k", edKey(1), jwkMembers{"use": json.RawMessage("null"), "d": json.RawMessage("null"), "alg": json.RawMessage("null")}), jwtauth.EdDSA},
		{"padded base64", jwk("k", edKey(1), jwkMembers{"x": jwkBytes(edKey(1)) + "="}), jwtauth.EdDSA},
		{"x5u over http", jwk("k", edKey(1), jwkMembers{"x5u": "http://evil.example/cert"}), jwtauth.EdDSA},
		{"x5c that cannot be read", jwk("k", edKey(1), jwkMembers{"x5c": []string{"AAAA"}, "x5t": "x"}), jwtauth.EdDSA},
		{"unknown members", jwk("k", edKey(1), jwkMembers{"KID": "other", "Alg": "none", "nbf": 1}), jwtauth.EdDSA},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := jwtauth.ParseJWK([]byte(c.text))
			if err != nil || key.ID() != "k" || key.Algorithm() != c.want {
				t.Fatalf("got %v, %v", key, err)
			}
		})
	}
}

func TestKeySet_Ed25519AndEdDSAAreOneAlgorithm(t *testing.T) {
	for _, name := range []string{"Ed25519", "EdDSA"} {
		key, err := jwtauth.ParseJWK([]byte(jwk("k", edKey(1), jwkMembers{"alg": name})))
		if err != nil || key.Algorithm() != jwtauth.EdDSA {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}

func TestTheIssuerOfAKeyIsKept(t *testing.T) {
	const template = "https://login.microsoftonline.com/{tenantid}/v2.0"
	key, err := jwtauth.ParseJWK([]byte(jwk("k", &keysRSA().PublicKey, jwkMembers{"issuer": template})))
	if err != nil || key.Issuer() != template {
		t.Fatalf("got %v, %v", key, err)
	}
	if other := must(jwtauth.ParseJWK([]byte(jwk("k", &keysRSA().PublicKey)))); jwtauth.SameKey(key, other) {
		t.Error("a key without the restriction counts as the same")
	}
}

func TestKeySet_DuplicateIDsAreUnusable(t *testing.T) {
	enc := jwk("a", &keysRSA().PublicKey, jwkMembers{"use": "enc"})
	for _, c := range []struct{ name, text, want string }{
		{"two keys", jwks(jwk("a", edKey(1)), jwk("a", edKey(2)), jwk("b", edKey(3))), "b"},
		{"two kinds", jwks(jwk("a", edKey(1)), jwk("a", &keysP256().PublicKey), jwk("b", edKey(3))), "b"},
		{"three keys", jwks(jwk("a", edKey(1)), jwk("b", edKey(3)), jwk("a", edKey(2)), jwk("a", edKey(4))), "b"},
		{"the same key twice", jwks(jwk("a", edKey(1)), jwk("a", edKey(1)), jwk("b", edKey(3))), "b"},
		{"one cannot be read", jwks(jwk("a", edKey(1)), jwk("a", edKey(1), jwkMembers{"crv": "Ed448"}), jwk("b", edKey(3))), "b"},
		{"the other is for encryption", jwks(enc, jwk("a", edKey(1)), jwk("b", edKey(3))), "a b"},
		{"IDs differ in case", jwks(jwk("a", edKey(1)), jwk("A", edKey(2))), "a A"},
		{"nothing remains", jwks(jwk("a", edKey(1)), jwk("a", edKey(2))), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, _, err := jwtauth.ParseJWKSet([]byte(c.text))
			var ids []string
			for _, k := range keys {
				ids = append(ids, k.ID())
			}
			if got := strings.Join(ids, " "); got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// junkSets are answers with status 200 that are no key set.
var junkSets = map[string]string{
	"an error object":   `{"error":"temporarily_unavailable"}`,
	"an empty object":   `{}`,
	"null":              `null`,
	"keys null":         `{"keys":null}`,
	"no keys":           `{"keys":[]}`,
	"keys as an object": `{"keys":{}}`,
	"keys as a text":    `{"keys":"k"}`,
	"KEYS":              `{"KEYS":[]}`,
	"keys twice":        `{"keys":[],"keys":[]}`,
	"only unsupported":  `{"keys":[{"kty":"AKP","kid":"a","alg":"ML-DSA-44","pub":"AAAA"}]}`,
	"only oct":          `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`,
	"HTML":              `<html><body>Sign in</body></html>`,
	"an array":          `[]`,
	"nothing":           ``,
	"truncated":         `{"keys":[{"kty":"OKP"`,
	"a deep nest":       `{"keys":` + strings.Repeat("[", 100_000),
	"not UTF-8":         "{\"keys\":[],\"a\":\"\xff\"}",
}

func TestKeySet_JunkIsRefused(t *testing.T) {
	set := jwks(jwk("a", edKey(1)))
	for name, junk := range junkSets {
		if keys, _, err := jwtauth.ParseJWKSet([]byte(junk)); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
	for _, trailing := range []string{"x", set, "]", "\x00"} {
		if keys, _, err := jwtauth.ParseJWKSet([]byte(set + trailing)); err == nil {
			t.Errorf("followed by %q: %v", trailing, keys)
		}
	}
	if keys, _, err := jwtauth.ParseJWKSet([]byte(strings.Replace(set, `{"keys"`, "{\"\xff\":0,\"keys\"", 1))); err == nil {
		t.Errorf("not UTF-8: %v", keys)
	}
	if _, _, err := jwtauth.ParseJWKSet([]byte(" " + set + "\n")); err != nil {
		t.Errorf("space around it: %v", err)
	}
}

// FuzzParseJWKSet holds the parser to what is promised of its result: unique,
// named, public and strong keys, each of which jwkset, reading the same set by
// itself, also finds under that ID with the same material.
func FuzzParseJWKSet(f *testing.F) {
	for _, bad := range unusableKeys() {
		f.Add([]byte(jwks(bad, jwk("good", edKey(9)))))
	}
	for _, junk := range junkSets {
		f.Add([]byte(junk))
	}
	f.Add([]byte(strings.Replace(jwks(jwk("a", edKey(9))), `"kid"`, `"usE":"SIG","kid"`, 1)))
	f.Add([]byte(jwks(jwk("a", &keysRSA().PublicKey), jwk("b", &keysP521().PublicKey))))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, skipped, err := jwtauth.ParseJWKSet(text)
		if err != nil {
			if len(keys)+len(skipped) > 0 {
				t.Fatalf("an error and keys: %v", err)
			}
			return
		}
		if len(keys) == 0 {
			t.Fatal("neither keys nor an error")
		}
		var doc struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		seen := map[string]bool{}
		for _, key := range keys {
			if key.ID() == "" || len(key.ID()) > 256 || seen[key.ID()] || strings.HasPrefix(string(key.Algorithm()), "HS") || key.Withdrawn() {
				t.Fatalf("unusable: %v", key)
			}
			seen[key.ID()] = true
			if !oracleHas(doc.Keys, key) {
				t.Fatalf("%v is not in %s", key, text)
			}
		}
	})
}

// oracleHas looks for a key by other means than the parser: jwkset on its own,
// reading everything, and a plain map.
func oracleHas(raw []json.RawMessage, key *jwtauth.Key) bool {
	for _, text := range raw {
		var plain map[string]any
		if json.Unmarshal(text, &plain) != nil || plain["kid"] != key.ID() || plain["d"] != nil || plain["k"] != nil {
			continue
		}
		// encoding/json would take "USE" for "use"; only exact names mean anything.
		maps.DeleteFunc(plain, func(name string, _ any) bool {
			return !slices.Contains([]string{"kty", "crv", "alg", "kid", "n", "e", "x", "y"}, name)
		})
		clean, _ := json.Marshal(plain)
		j, err := jwkset.NewJWKFromRawJSON(clean, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err == nil && jwtauth.HasMaterial(key, j.Key()) {
			return true
		}
	}
	return false
}

// What the parser relies on in jwkset, so that an update of it that behaves
// differently is noticed.
func TestWhatIsReliedOnInJwkset(t *testing.T) {
	parse := func(text string) (crypto.PublicKey, error) {
		j, err := jwkset.NewJWKFromRawJSON([]byte(text), jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		return j.Key(), err
	}
	for name, bad := range map[string]string{
		"an exponent that wraps around": jwk("k", &keysRSA().PublicKey, jwkMembers{"e": jwkBytes([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}),
		"a point off the curve":         jwk("k", &keysP256().PublicKey, jwkMembers{"y": "AQ"}),
		"a key of 31 bytes":             jwk("k", edKey(1), jwkMembers{"x": jwkBytes(edKey(1)[:31])}),
		"an unknown curve":              jwk("k", edKey(1), jwkMembers{"crv": "Ed448"}),
		"an unknown type":               jwk("k", edKey(1), jwkMembers{"kty": "AKP"}),
	} {
		if key, err := parse(bad); err == nil {
			t.Errorf("%s is taken now: %v", name, key)
		}
	}
	for name, text := range map[string]string{
		"a public key stays public though d is there": jwk("k", &keysP256().PublicKey, jwkMembers{"d": jwkBytes(keysP256().D.Bytes())}),
	} {
		key, err := parse(text)
		if _, private := key.(crypto.Signer); err != nil || private {
			t.Errorf("%s: %T, %v", name, key, err)
		}
	}
	store := jwkset.NewMemoryStorage()
	if _, err := store.KeyRead(context.Background(), "absent"); !errors.Is(err, jwkset.ErrKeyNotFound) {
		t.Errorf("an absent key is %v now", err)
	}
}

// The bound of 100 keys is that of RemoteKeys.
func TestALargeSetIsReadWholeAndInOrder(t *testing.T) {
	var all []string
	for i := range 200 {
		all = append(all, jwk(fmt.Sprint(i), edKey(i)))
	}
	keys, skipped, err := jwtauth.ParseJWKSet([]byte(jwks(all...)))
	if err != nil || len(keys) != 200 || len(skipped) != 0 {
		t.Fatalf("%d keys, %d skipped, %v", len(keys), len(skipped), err)
	}
	for i, key := range keys {
		if key.ID() != fmt.Sprint(i) {
			t.Errorf("key %d is %v", i, key)
		}
	}
}
