package jwtauth

import (
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// inFIPS140OnlyMode reports whether only what FIPS 140 approves may run. If not, it
// has a process of its own run the test so.
func inFIPS140OnlyMode(t *testing.T) bool {
	t.Helper()
	if fips140.Enforced() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		t.Skipf("no program starts here: %v", err) // as under emulation
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// A key with which no token would verify is refused where it is given.
func TestKeysInFIPS140OnlyMode(t *testing.T) {
	if !inFIPS140OnlyMode(t) {
		return
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key  rsa.PublicKey
		good bool
	}{
		"as they are made today":      {private.PublicKey, true},
		"exponent 3":                  {rsa.PublicKey{N: private.N, E: 3}, false},
		"exponent below 2^16":         {rsa.PublicKey{N: private.N, E: 1<<16 - 1}, false},
		"modulus of an odd bit count": {rsa.PublicKey{N: new(big.Int).SetBit(private.N, 2048, 1), E: private.E}, false},
	} {
		_, err := NewPublicKey("k1", RS256, &tc.key)
		if (err == nil) != tc.good || err != nil && !strings.Contains(err.Error(), "FIPS 140-only mode") {
			t.Errorf("%s: %v", name, err)
		}
		encoded := base64.RawURLEncoding.EncodeToString
		jwk := fmt.Sprintf(`{"kty":"RSA","kid":"k1","alg":"RS256","n":%q,"e":%q}`,
			encoded(tc.key.N.Bytes()), encoded(big.NewInt(int64(tc.key.E)).Bytes()))
		if _, err := ParseJWK([]byte(jwk)); (err == nil) != tc.good {
			t.Errorf("%s: as a JWK: %v", name, err)
		}
	}
}
