package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
)

// Keyfunc returns the keys for code that calls golang-jwt itself. Its storage
// reads the same set by the same rules as [RemoteKeys.Key], without what somebody
// withdrew, and cannot be written. A token that names no key is refused, where
// keyfunc alone would try all of them. [Key.Issuer] is not looked at, which a
// [Verifier] does.
func (r *RemoteKeys) Keyfunc() keyfunc.Keyfunc { return r.keyfunc }

func newKeyfunc(r *RemoteKeys) (keyfunc.Keyfunc, error) {
	kf, err := keyfunc.New(keyfunc.Options{Ctx: r.ctx, Storage: keyStorage{r}})
	return namedKeys{kf}, err
}

// namedKeys is a keyfunc for tokens that name their key.
type namedKeys struct{ all keyfunc.Keyfunc }

func (n namedKeys) Storage() jwkset.Storage { return n.all.Storage() }

func (n namedKeys) VerificationKeySet(ctx context.Context) (jwt.VerificationKeySet, error) {
	return n.all.VerificationKeySet(ctx)
}

func (n namedKeys) Keyfunc(token *jwt.Token) (any, error) {
	if err := namesKey(token); err != nil {
		return nil, err
	}
	return n.all.Keyfunc(token)
}

func (n namedKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	named := n.all.KeyfuncCtx(ctx)
	return func(token *jwt.Token) (any, error) {
		if err := namesKey(token); err != nil {
			return nil, err
		}
		return named(token)
	}
}

func namesKey(token *jwt.Token) error {
	if id, ok := token.Header["kid"].(string); !ok || id == "" {
		return errNoKeyID
	}
	return nil
}

// keyStorage shows remote keys as jwkset does. Every reading method takes a
// snapshot.
type keyStorage struct{ keys *RemoteKeys }

var _ jwkset.Storage = keyStorage{}

var errReadOnly = errors.New("jwtauth: the keys of a provider cannot be written")

// KeyRead loads the keys again for one that is unknown, as [RemoteKeys.Key]
// says. Where there is no such key the error is [jwkset.ErrKeyNotFound] and
// [authctx.UnknownKey].
func (s keyStorage) KeyRead(ctx context.Context, keyID string) (jwkset.JWK, error) {
	k, err := s.keys.Key(ctx, keyID, "")
	if err == nil && k.ended() == errKeyGone {
		err = errKeyGone
	}
	switch {
	case errors.Is(err, authctx.UnknownKey):
		return jwkset.JWK{}, fmt.Errorf("%w: %w", jwkset.ErrKeyNotFound, err)
	case err != nil:
		return jwkset.JWK{}, err
	}
	return k.jwk()
}

// KeyReadAll fails while there are no keys to believe. An empty set would say that
// the issuer has withdrawn them.
func (s keyStorage) KeyReadAll(context.Context) ([]jwkset.JWK, error) {
	set := s.keys.set.Load()
	if set == nil {
		return nil, s.keys.noKeys()
	}
	all := make([]jwkset.JWK, 0, len(set.byID))
	for _, k := range set.byID {
		if k.ended() == errKeyGone {
			continue
		}
		jwk, err := k.jwk()
		if err != nil {
			return nil, err
		}
		all = append(all, jwk)
	}
	return all, nil
}

func (keyStorage) KeyDelete(context.Context, string) (bool, error)     { return false, errReadOnly }
func (keyStorage) KeyReplaceAll(context.Context, []jwkset.JWK) error   { return errReadOnly }
func (keyStorage) KeyWrite(context.Context, jwkset.JWK) error          { return errReadOnly }
func (s keyStorage) JSON(ctx context.Context) (json.RawMessage, error) { return s.copy().JSON(ctx) }
func (s keyStorage) Marshal(ctx context.Context) (jwkset.JWKSMarshal, error) {
	return s.copy().Marshal(ctx)
}

func (s keyStorage) JSONPublic(ctx context.Context) (json.RawMessage, error) {
	return s.copy().JSONPublic(ctx)
}

// JSONPrivate is the same as JSONPublic, since there are no private keys.
func (s keyStorage) JSONPrivate(ctx context.Context) (json.RawMessage, error) {
	return s.copy().JSONPublic(ctx)
}

func (s keyStorage) JSONWithOptions(ctx context.Context, m jwkset.JWKMarshalOptions, v jwkset.JWKValidateOptions) (json.RawMessage, error) {
	return s.copy().JSONWithOptions(ctx, m, v)
}

func (s keyStorage) MarshalWithOptions(ctx context.Context, m jwkset.JWKMarshalOptions, v jwkset.JWKValidateOptions) (jwkset.JWKSMarshal, error) {
	return s.copy().MarshalWithOptions(ctx, m, v)
}

// copy returns a snapshot in jwkset's own storage, which knows how to write
// JSON, of no keys while there are none to believe.
func (s keyStorage) copy() jwkset.Storage {
	m := jwkset.NewMemoryStorage()
	if all, err := s.KeyReadAll(context.Background()); err == nil {
		_ = m.KeyReplaceAll(context.Background(), all)
	}
	return m
}
