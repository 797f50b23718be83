package jwtauth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// exampleIssuer signs a token and tells the keys and the time to verify it with.
func exampleIssuer(issuer, subject string) (token string, keys jwtauth.KeySource, now func() time.Time) {
	private := exampleKey(issuer)
	claims := fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":"https://api.example.com","client_id":"web","jti":"1","exp":1780318800,"scope":"orders.read"}`,
		issuer, subject)
	input := b64(`{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}`) + "." + b64(claims)
	key, err := jwtauth.NewPublicKey("k1", jwtauth.EdDSA, private.Public())
	if err != nil {
		panic(err)
	}
	keys, err = jwtauth.NewStaticKeys(key)
	if err != nil {
		panic(err)
	}
	now = func() time.Time { return time.Unix(1780318000, 0) }
	return input + "." + b64(string(ed25519.Sign(private, []byte(input)))), keys, now
}

func exampleKey(issuer string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("a seed that anybody can make, for " + issuer))
	return ed25519.NewKeyFromSeed(seed[:])
}

// exampleProvider publishes the key of an issuer.
func exampleProvider(issuer string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		public := exampleKey(issuer).Public().(ed25519.PublicKey)
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":%q}]}`, b64(string(public)))
	}))
}

// A verifier works on a bare string and so serves any transport.
func ExampleVerifier() {
	token, keys, now := exampleIssuer("https://auth.example.com", "alice")
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:     "https://auth.example.com",
		Audiences:  []string{"https://api.example.com"},
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Keys:       keys,
		Now:        now, // only because this token is old
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, err := verifier.Verify(context.Background(), token)
	fmt.Println(caller, caller.HasScope("orders.read"), err)

	_, err = verifier.Verify(context.Background(), token[:len(token)-2]+"AA")
	fmt.Println(errors.Is(err, authctx.InvalidToken))
	// Output:
	// user alice of https://auth.example.com (verified) true <nil>
	// true
}

// What is missing is said at start, all of it.
func ExampleNewVerifier() {
	_, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{Issuer: "https://auth.example.com"})
	fmt.Println(err)
	// Output:
	// jwtauth: verifier for "https://auth.example.com": Audiences is required; ClientIDs replaces it for providers without aud
	// jwtauth: verifier for "https://auth.example.com": Algorithms is required
	// jwtauth: verifier for "https://auth.example.com": Keys is required
}

// Each issuer has rules and keys of its own.
func ExampleNewMultiVerifier() {
	audience := []string{"https://api.example.com"}
	algorithms := []jwtauth.Algorithm{jwtauth.EdDSA}
	_, staffKeys, now := exampleIssuer("https://staff.example.com", "alice")
	token, customerKeys, _ := exampleIssuer("https://customers.example.com", "bob")
	employees, err1 := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: "https://staff.example.com", Audiences: audience, Algorithms: algorithms, Keys: staffKeys, Now: now,
		Types: jwtauth.RFC9068Types(),
	})
	customers, err2 := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: "https://customers.example.com", Audiences: audience, Algorithms: algorithms, Keys: customerKeys, Now: now,
	})
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := jwtauth.NewMultiVerifier(employees, customers)
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, err := verifier.Verify(context.Background(), token)
	fmt.Println(caller, err)
	// Output:
	// user bob of https://customers.example.com (verified) <nil>
}

// Customers bring their own issuers and keys, which a database knows.
func ExampleNewResolvingVerifier() {
	token, acme, now := exampleIssuer("https://acme.example.com", "carol")
	_, globex, _ := exampleIssuer("https://globex.example.com", "hank")
	customers := map[string]jwtauth.KeySource{"https://acme.example.com": acme, "https://globex.example.com": globex}
	verifier, err := jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			keys, ok := customers[issuer]
			if !ok {
				return nil, authctx.WrongIssuer
			}
			return jwtauth.NewVerifier(jwtauth.VerifierConfig{
				Issuer:     issuer,
				Audiences:  []string{"https://api.example.com"},
				Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
				Keys:       keys,
				Now:        now,
			})
		},
		Now: now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer verifier.Close()
	caller, err := verifier.Verify(context.Background(), token)
	fmt.Println(caller, err)
	// Output:
	// user carol of https://acme.example.com (verified) <nil>
}

// A customer leaves: its tokens count no longer, those that were verified before included.
func ExampleResolvingVerifier_Forget() {
	const acme = "https://acme.example.com"
	token, keys, now := exampleIssuer(acme, "carol")
	var customers sync.Map // in a database, in truth
	customers.Store(acme, keys)
	verifier, err := jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			keys, ok := customers.Load(issuer)
			if !ok {
				return nil, authctx.WrongIssuer
			}
			return jwtauth.NewVerifier(jwtauth.VerifierConfig{
				Issuer:     issuer,
				Audiences:  []string{"https://api.example.com"},
				Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
				Keys:       keys.(jwtauth.KeySource),
				Now:        now,
			})
		},
		Now: now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer verifier.Close()
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println(err)

	customers.Delete(acme)
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println(err) // until MaxAge, for nobody asks
	verifier.Forget(acme)
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println(errors.Is(err, authctx.WrongIssuer))
	// Output:
	// <nil>
	// <nil>
	// true
}

// A bearer token in the authorization field, for any transport.
func ExampleNewBearer() {
	token, keys, now := exampleIssuer("https://auth.example.com", "alice")
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:     "https://auth.example.com",
		Audiences:  []string{"https://api.example.com"},
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Keys:       keys,
		Now:        now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	bearer, err := jwtauth.NewBearer(verifier, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{"Bearer " + token, "Bearer nonsense", "Basic dTpw"} {
		result, err := authctx.Authenticate(context.Background(), bearer, &authctx.Request{
			Fields: authctx.FieldMap(map[string][]string{"authorization": {value}}),
		})
		fmt.Println(result.Principal, authctx.ReasonOf(err).Public() == authctx.InvalidToken, errors.Is(err, authctx.NoCredentials))
	}
	// Output:
	// user alice of https://auth.example.com (verified) false false
	// nobody true false
	// nobody false true
}

// A log-out that counts at once, for tokens that were verified before too.
func ExampleMemoryRevocations() {
	token, keys, now := exampleIssuer("https://auth.example.com", "alice")
	revocations := &jwtauth.MemoryRevocations{Now: now}
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:      "https://auth.example.com",
		Audiences:   []string{"https://api.example.com"},
		Algorithms:  []jwtauth.Algorithm{jwtauth.EdDSA},
		Keys:        keys,
		Revocations: revocations,
		Now:         now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println(err)
	err = revocations.RevokeSubject("https://auth.example.com", "alice", now(), now().Add(time.Hour))
	fmt.Println(err)
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// authctx: token revoked: jwtauth: issuer "https://auth.example.com": by its subject and time of issue
}

// One token that has leaked, named by its "jti". The caller's others go on.
func ExampleMemoryRevocations_RevokeToken() {
	_, _, now := exampleIssuer("https://auth.example.com", "alice")
	revocations := &jwtauth.MemoryRevocations{Now: now}
	fmt.Println(revocations.RevokeToken("https://auth.example.com", "leaked", now().Add(time.Hour)))
	for _, token := range []string{"leaked", "another"} {
		p, err := authctx.New(authctx.Attributes{Issuer: "https://auth.example.com", Subject: "alice", TokenID: token})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(revocations.Revoked(context.Background(), p))
	}
	// Output:
	// <nil>
	// true <nil>
	// false <nil>
}

// A log-out of one device: whatever was issued in that session ("sid") counts no
// longer, and the caller's other sessions go on. The time is when the last token
// of the session ends.
func ExampleMemoryRevocations_RevokeSession() {
	_, _, now := exampleIssuer("https://auth.example.com", "alice")
	revocations := &jwtauth.MemoryRevocations{Now: now}
	fmt.Println(revocations.RevokeSession("https://auth.example.com", "phone", now().Add(time.Hour)))
	for _, session := range []string{"phone", "laptop"} {
		p, err := authctx.New(authctx.Attributes{Issuer: "https://auth.example.com", Subject: "alice", SessionID: session})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(revocations.Revoked(context.Background(), p))
	}
	// Output:
	// <nil>
	// true <nil>
	// false <nil>
}
