package jwtauth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/authctx/authctx"
)

// Key is one verification key of one issuer. It is made by the constructors of
// this package, does not change but for being withdrawn, and may be shared and
// used concurrently. It prints its ID and algorithm, never a secret, whatever it
// is printed with and wherever it is held.
type Key struct {
	id        string
	algorithm Algorithm                     // empty when the source did not say
	issuer    string                        // the only issuer it may verify for, empty when not restricted
	material  any                           // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or hmacSecret
	withdrawn atomic.Pointer[authctx.Error] // why its source stands by this Key no longer, nil while it does
	gone      func() error                  // asks who does not say when the key leaves why it counts no longer; may be nil
	macs      sync.Pool                     // of hash.Hash keyed with material, when that is a secret

	// Whoever calls Withdraw distrusts the key, of which a source may have made
	// more than one Key: they share what the first of them has of this.
	first      *Key        // nil when that is this one
	distrusted atomic.Bool // Withdraw was called
	mu         sync.Mutex
	twins      []*Key // first Keys of the same key from elsewhere; with mu
}

// KeySource finds the verification keys of exactly one issuer. Implementations
// are safe for concurrent use.
//
// A verified token is remembered together with its key, and the source is not asked
// again. So a source must return the same Key each time, and call [Key.Withdraw] when
// a key is removed; otherwise its tokens go on being accepted from the cache, for
// 10 minutes by default.
type KeySource interface {
	// Key returns the key with which a token says it was signed. The key ID
	// comes from a token nobody has verified and may be anything; it is empty
	// when the token names none, and then only a source that has a single key
	// may answer.
	//
	// The error is [authctx.UnknownKey] when the issuer is known not to have
	// such a key. Any other means that nobody could tell, and counts as
	// [authctx.Unavailable].
	Key(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error)
}

// Sizes that a key must have. Larger RSA keys are refused because verifying
// with them is a way to keep a server busy (CVE-2023-29409).
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	maxKeyIDLength = 256 // also of what strangers can make sources look up
)

// NewPublicKey returns a key for tokens signed with the private half of pub,
// an [*rsa.PublicKey], [*ecdsa.PublicKey] or [ed25519.PublicKey], which it
// copies. The ID is what tokens call the key ("kid"); it may be empty for a key
// that is used alone.
//
// A key serves one algorithm (RFC 8725 section 3.1). An empty one is read off
// the key where only one is possible, on curves; for RSA it must be given. Where
// only what FIPS 140 approves may run (GODEBUG=fips140=only), an RSA key that cannot
// be used then is refused.
func NewPublicKey(id string, algorithm Algorithm, pub crypto.PublicKey) (*Key, error) {
	key, err := newPublicKey(id, algorithm, pub)
	if err == nil && key.algorithm == "" {
		err = errors.New("an RSA key needs an algorithm, such as RS256")
	}
	if err != nil {
		return nil, keyError(id, err)
	}
	return key, nil
}

// NewHMACKey returns a key for tokens authenticated with secret, which it
// copies. Whoever verifies with it can also issue. The secret must be random
// and at least as long as the algorithm's hash (RFC 7518 section 3.2).
func NewHMACKey(id string, algorithm Algorithm, secret []byte) (*Key, error) {
	switch {
	case !algorithm.Symmetric():
		return nil, keyError(id, fmt.Errorf("%q is not an HMAC algorithm", algorithm))
	case len(secret) < algorithm.hash().Size():
		return nil, keyError(id, fmt.Errorf("%s needs a secret of at least %d bytes", algorithm, algorithm.hash().Size()))
	case len(id) > maxKeyIDLength:
		return nil, keyError(id, errLongKeyID)
	}
	secret = bytes.Clone(secret)
	return &Key{id: id, algorithm: algorithm, material: hmacSecret(func() []byte { return secret })}, nil
}

// hmacSecret returns the bytes of a secret. It is a function because nothing that
// prints looks into one; fmt asks no method of what a field holds that is not
// exported, nor for %p and %w.
type hmacSecret func() []byte

func (k *Key) symmetric() bool {
	_, ok := k.material.(hmacSecret)
	return ok
}

// ID returns the key ID, empty when the key has none.
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm the key is bound to, empty when it is an
// RSA key from a JWK that names none; the verifier's configuration then decides.
func (k *Key) Algorithm() Algorithm { return k.algorithm }

// Issuer returns the only issuer whose tokens the key may verify, as the JWK's
// "issuer" member says, and empty when it does not. Entra ID publishes the keys
// of all tenants in one set this way; there the value may hold the literal
// "{tenantid}", which stands for the token's tenant.
func (k *Key) Issuer() string { return k.issuer }

// Withdrawn reports whether the source of the key has stopped vouching for it.
// What was verified with it counts no longer, cached results included.
func (k *Key) Withdrawn() bool {
	return k.ended() != nil || k.gone != nil && k.gone() != nil
}

// noticeIfGone asks the source of a key that can tell, which withdraws the key if
// it is gone.
func (k *Key) noticeIfGone() { _ = k.Withdrawn() }

// Withdraw ends everything that was verified with k, cached results included. A
// [KeySource] of your own calls it when the issuer has removed the key. It is
// final, may be called again, and is safe for concurrent use.
//
// Where a source of this package has made several Keys of the same key, because
// the issuer has changed its algorithm or ID meanwhile, all of them are withdrawn.
// [RemoteKeys] that have the key never believe it again, not under another ID
// either. Another source may hold the same key as a Key of its own, which is not
// withdrawn.
func (k *Key) Withdraw() {
	all := []*Key{k.origin()}
	for i := 0; i < len(all); i++ {
		all[i].distrusted.Store(true)
		for _, twin := range all[i].joined() {
			if !slices.Contains(all, twin) {
				all = append(all, twin)
			}
		}
	}
}

// origin returns the Key that says whether somebody withdrew k.
func (k *Key) origin() *Key {
	if k.first != nil {
		return k.first
	}
	return k
}

// join makes a withdrawal of k or other, which is the same key from elsewhere,
// one of both.
func (k *Key) join(other *Key) {
	k, other = k.origin(), other.origin()
	if k == other {
		return
	}
	k.addTwin(other)
	other.addTwin(k)
	if k.distrusted.Load() || other.distrusted.Load() { // by somebody who may not have seen the other
		k.Withdraw()
	}
}

func (k *Key) addTwin(other *Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.twins, other) {
		k.twins = append(slices.Clip(k.twins), other)
	}
}

// joined returns the twins, which the caller only reads.
func (k *Key) joined() []*Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.twins
}

// withdraw says why: errKeyGone where the issuer has other keys now,
// errKeyUnconfirmed where nobody can tell.
func (k *Key) withdraw(why *authctx.Error) { k.withdrawn.CompareAndSwap(nil, why) }

// makeWay withdraws k because its issuer has other for its ID now: why, unless
// that is the same key, of which only something else is said.
func (k *Key) makeWay(other *Key, why *authctx.Error) {
	if k.sameMaterial(other) {
		why = errKeyRestated
	}
	k.withdraw(why)
}

// stands returns nil, or why the key counts no longer.
func (k *Key) stands() error {
	if why := k.ended(); why != nil {
		return why
	}
	if k.gone != nil {
		return k.gone()
	}
	return nil
}

// ended is stands as far as nobody needs to be asked.
func (k *Key) ended() *authctx.Error {
	if k.origin().distrusted.Load() {
		return errKeyGone
	}
	return k.withdrawn.Load()
}

var (
	errKeyGone        = refusal(authctx.UnknownKey, keyIsGone)
	errKeyUnconfirmed = refusal(authctx.Unavailable, "nobody confirms the key any more")
	errKeyRestated    = refusal(authctx.Unavailable, "the issuer says something else of the key now")
)

const keyIsGone = "the issuer has withdrawn the key"

// Format implements [fmt.Formatter] so that no verb prints more than the ID and
// the algorithm.
func (k *Key) Format(s fmt.State, _ rune) {
	if k == nil {
		fmt.Fprint(s, "<nil>")
		return
	}
	fmt.Fprintf(s, "key %q (%s)", k.id, k.algorithm)
}

// same reports whether nothing but the pointers tells k and other apart.
func (k *Key) same(other *Key) bool {
	return k.algorithm == other.algorithm && k.issuer == other.issuer && k.sameKey(other)
}

// sameKey is same, whatever else is said of the key.
func (k *Key) sameKey(other *Key) bool { return k.id == other.id && k.sameMaterial(other) }

func (k *Key) sameMaterial(other *Key) bool {
	switch m := k.material.(type) {
	case hmacSecret:
		o, ok := other.material.(hmacSecret)
		return ok && subtle.ConstantTimeCompare(m(), o()) == 1
	case interface{ Equal(crypto.PublicKey) bool }:
		return m.Equal(other.material)
	}
	return false
}

// fingerprint stands for a key, whatever its ID: by it the same key is found among
// many without comparing it with each.
type fingerprint [sha256.Size]byte

func (k *Key) fingerprint() fingerprint {
	if secret, ok := k.material.(hmacSecret); ok { // long and random: its hash tells nothing
		return sha256.Sum256(append([]byte("HMAC "), secret()...))
	}
	spki, _ := x509.MarshalPKIXPublicKey(k.material) // fails for no key that is accepted here
	return sha256.Sum256(spki)
}

var errLongKeyID = fmt.Errorf("the key ID is longer than %d bytes", maxKeyIDLength)

func keyError(id string, err error) error {
	return fmt.Errorf("jwtauth: key %.64q: %w", id, err)
}

// newPublicKey is [NewPublicKey] without its demand that RSA keys name an
// algorithm, which not every provider meets.
func newPublicKey(id string, algorithm Algorithm, pub crypto.PublicKey) (*Key, error) {
	if len(id) > maxKeyIDLength {
		return nil, errLongKeyID
	}
	material, err := checkedCopy(pub)
	if err != nil {
		return nil, err
	}
	algorithm, err = algorithmFor(material, algorithm)
	if err != nil {
		return nil, err
	}
	return &Key{id: id, algorithm: algorithm, material: material}, nil
}

// algorithmFor returns the one algorithm of a public key of which its source says
// that, which may be nothing. It is empty for an RSA key then.
func algorithmFor(material any, said Algorithm) (Algorithm, error) {
	if said == "" {
		return onlyAlgorithm(material), nil
	}
	a, err := ParseAlgorithm(string(said))
	if err != nil {
		return "", errors.New("its algorithm is not one that is supported here")
	}
	if !a.fits(material) {
		return "", fmt.Errorf("a key of type %T and this size cannot verify %s", material, a)
	}
	return a, nil
}

// onlyAlgorithm returns the algorithm of a public key for which there is no other.
func onlyAlgorithm(material any) Algorithm {
	for _, a := range [...]Algorithm{ES256, ES384, ES512, EdDSA} {
		if a.fits(material) {
			return a
		}
	}
	return ""
}

func checkedCopy(pub crypto.PublicKey) (material any, err error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(k); err != nil {
			return nil, err
		}
		return &rsa.PublicKey{N: new(big.Int).Set(k.N), E: k.E}, nil
	case *ecdsa.PublicKey:
		return checkedECDSA(k)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(k))
		}
		if smallOrder(k) {
			return nil, errors.New("the Ed25519 key is of small order: anybody can sign for it")
		}
		return append(ed25519.PublicKey(nil), k...), nil
	}
	if _, private := pub.(crypto.Signer); private {
		return nil, fmt.Errorf("%T is a private key: verifying needs its public half", pub)
	}
	return nil, fmt.Errorf("%T is not a public key that is supported here", pub)
}

func checkRSA(k *rsa.PublicKey) error {
	switch {
	case k == nil || k.N == nil:
		return errors.New("the RSA key is nil")
	case k.N.Sign() <= 0 || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits:
		return fmt.Errorf("an RSA key must have between %d and %d bits, not %d", minRSABits, maxRSABits, k.N.BitLen())
	case k.N.Bit(0) == 0:
		return errors.New("the RSA modulus is even")
	case k.E < 3 || k.E%2 == 0 || k.E > math.MaxInt32:
		return errors.New("the RSA exponent must be odd and between 3 and 2^31-1")
	case weakGenerator(k.N):
		return errors.New("the RSA key can be broken: what made it did not choose its primes at random (CVE-2017-15361)")
	}
	return refusedByFIPS140(k)
}

// refusedByFIPS140 returns why no signature verifies with k where only what FIPS 140
// approves may run (GODEBUG=fips140=only), so that this does not show in every token.
func refusedByFIPS140(k *rsa.PublicKey) error {
	if !fips140.Enforced() {
		return nil
	}
	err := rsa.VerifyPKCS1v15(k, crypto.SHA256, make([]byte, sha256.Size), make([]byte, k.Size()))
	if errors.Is(err, rsa.ErrVerification) { // the key was used
		return nil
	}
	return err
}

func checkedECDSA(k *ecdsa.PublicKey) (material any, err error) {
	//lint:ignore SA1019 a nil coordinate would make Bytes panic
	if k == nil || k.X == nil || k.Y == nil {
		return nil, errors.New("the ECDSA key is nil")
	}
	if onlyAlgorithm(k) == "" {
		return nil, errors.New("the ECDSA key must be on P-256, P-384 or P-521")
	}
	point, err := k.Bytes()
	if err != nil {
		return nil, errors.New("the ECDSA key is not a point on its curve")
	}
	copied, err := ecdsa.ParseUncompressedPublicKey(k.Curve, point)
	if err != nil {
		return nil, errors.New("the ECDSA key is not a point on its curve")
	}
	return copied, nil
}
