package jwtauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/authctx/authctx"
)

// nonces makes nonces and knows them again without remembering any: a nonce is
// the MAC of the period in which it is handed out. All clients get the same one,
// which is enough (RFC 9449 section 11.1): what counts is that it was not known
// before.
type nonces struct {
	period time.Duration
	of     func(period int64) string // holds the secret, where no verb prints it
}

// newNonces returns nonces that are good in their period and the next one.
func newNonces(secret []byte, life time.Duration) *nonces {
	if len(secret) == 0 {
		secret = make([]byte, minNonceSecret)
		_, _ = rand.Read(secret) // never fails
	}
	return &nonces{life / 2, func(period int64) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write(binary.BigEndian.AppendUint64([]byte("authctx DPoP nonce "), uint64(period)))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	}}
}

// check judges the nonce of a proof and returns what the response must say: a
// nonce with a refusal, and a newer one to a client whose own is about to end.
func (n *nonces) check(nonce string, now time.Time) ([]authctx.Field, error) {
	if n == nil {
		return nil, nil
	}
	period := now.UnixNano() / int64(n.period)
	current := n.of(period)
	switch {
	// A replica whose clock is ahead hands out the next one already.
	case sameText(nonce, current), sameText(nonce, n.of(period+1)):
		return nil, nil
	case sameText(nonce, n.of(period-1)):
		// A response that is stored would hand out an old nonce later.
		return []authctx.Field{{Name: dpopNonceField, Value: current}, {Name: "cache-control", Value: "no-store"}}, nil
	}
	return []authctx.Field{{Name: dpopNonceField, Value: current}}, errProofNonce
}
