package jwtauth_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// What a key keeps for its next MAC belongs to one check at a time, and the
// answers are those of golang-jwt.
func TestMACsOfOneKeyAreCheckedAtOnce(t *testing.T) {
	for algorithm, method := range map[jwtauth.Algorithm]jwt.SigningMethod{
		jwtauth.HS256: jwt.SigningMethodHS256, jwtauth.HS384: jwt.SigningMethodHS384, jwtauth.HS512: jwt.SigningMethodHS512,
	} {
		secret := bytes.Repeat([]byte("s3cret, "), 8)
		key := must(jwtauth.NewHMACKey("k1", algorithm, secret))
		v := newVerifier(t, testSigner{algorithm: algorithm, key: key}, func(c *jwtauth.VerifierConfig) { c.Cache.Disabled = true })
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for n := range 100 {
					claims := goodClaims(map[string]any{"n": worker, "pad": strings.Repeat("x", n)})
					input := b64(`{"alg":"`+string(algorithm)+`","kid":"k1"}`) + "." + b64(asJSON(t, claims))
					mac := must(method.Sign(input, secret))
					if _, err := v.Verify(t.Context(), input+"."+b64(string(mac))); err != nil {
						t.Errorf("%s: %v", algorithm, err)
						return
					}
					mac[n%len(mac)] ^= 1
					for _, bad := range [][]byte{mac, mac[:len(mac)-1], append(mac, 0)} {
						if _, err := v.Verify(t.Context(), input+"."+b64(string(bad))); err == nil {
							t.Errorf("%s: a wrong MAC passed", algorithm)
							return
						}
					}
				}
			})
		}
		wg.Wait()
	}
}

// keeper signs, and keeps what it was given to sign, as one does that sends it
// to a service and gives up waiting.
type keeper struct {
	ed25519.PrivateKey
	kept [][]byte
}

func (k *keeper) Sign(r io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.kept = append(k.kept, message)
	return k.PrivateKey.Sign(r, message, opts)
}

func TestASignerMayKeepWhatItSigns(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := &keeper{PrivateKey: private}
	w := newTxnWorld(t, must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: signer})))
	for n := range 20 {
		p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Subject = strings.Repeat("x", 20-n) })
		token := must(inject(t.Context(), w.edge, p))
		signer.kept = append(signer.kept, []byte(token[:strings.LastIndexByte(token, '.')]))
	}
	kept := signer.kept[len(signer.kept)-40:]
	for i := 0; i < len(kept); i += 2 {
		if !bytes.Equal(kept[i], kept[i+1]) {
			t.Fatalf("what token %d was signed over has changed since", i/2)
		}
	}
}
