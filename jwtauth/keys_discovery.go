package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/authctx/authctx/internal/loopback"
)

// locate asks the metadata, if there is an issuer that has some, where the keys
// are, and reports whether that is somewhere else than before.
func (f *fetcher) locate(ctx context.Context) (moved bool, err error) {
	if f.cfg.Issuer == "" {
		return false, nil
	}
	found, err := f.discover(ctx)
	if err != nil {
		return false, fmt.Errorf("metadata: %w", err)
	}
	moved = found != f.jwksURL
	f.jwksURL = found
	return moved, nil
}

// discover returns the address of the keys from the issuer's metadata. Where
// there is none, which some servers say by a page for people, it may be at the
// next place.
func (f *fetcher) discover(ctx context.Context) (string, error) {
	addresses := metadataURLs(f.cfg.Issuer)
	found, err := f.discoverAt(ctx, addresses[0])
	if err == nil || !noMetadata(err) {
		return found, at(addresses[0], err)
	}
	found, other := f.discoverAt(ctx, addresses[1])
	switch {
	case other == nil:
		return found, nil
	case other.Error() == err.Error():
		return "", fmt.Errorf("%.200q and %w", addresses[0], at(addresses[1], err))
	}
	return "", fmt.Errorf("%w; %w", at(addresses[0], err), at(addresses[1], other))
}

func noMetadata(err error) bool {
	status, _ := errors.AsType[statusError](err)
	return errors.Is(err, errNotObject) || status >= 400 && status < 500
}

// at says to an operator where something went wrong.
func at(address string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%.200q: %w", shownURL(address), err)
}

func (f *fetcher) discoverAt(ctx context.Context, address string) (string, error) {
	body, _, err := f.get(ctx, address, false)
	if err != nil {
		return "", err
	}
	return f.readMetadata(body)
}

// metadataURLs returns where an issuer's metadata may be: OpenID Connect
// Discovery section 4.1 puts the well-known part after the issuer's path, RFC
// 8414 section 3.1 before it.
func metadataURLs(issuer string) [2]string {
	trimmed := strings.TrimSuffix(issuer, "/")
	path := ""
	if u, err := url.Parse(trimmed); err == nil {
		path = u.EscapedPath()
	}
	return [2]string{
		trimmed + "/.well-known/openid-configuration",
		strings.TrimSuffix(trimmed, path) + "/.well-known/oauth-authorization-server" + path,
	}
}

// readMetadata returns "jwks_uri" of metadata that is the issuer's own.
func (f *fetcher) readMetadata(body []byte) (string, error) {
	doc, err := readJSONObject(body)
	if err != nil {
		return "", err
	}
	want := cmp.Or(f.cfg.MetadataIssuer, f.cfg.Issuer)
	if issuer, err := doc.text("issuer"); err != nil || issuer != want {
		return "", fmt.Errorf("it is the metadata of %.200q, not of %q", issuer, want)
	}
	address, err := doc.text("jwks_uri")
	if err != nil || address == "" {
		return "", errors.New(`there is no "jwks_uri"`)
	}
	from, err := parseKeyURL(f.cfg.Issuer, f.cfg.InsecureAllowHTTP)
	if err != nil {
		return "", err
	}
	// http is for an issuer that is itself on loopback; nobody else may send us
	// to it, or to anything else that only we can reach.
	inside := loopback.Is(from.Hostname())
	to, err := parseKeyURL(address, f.cfg.InsecureAllowHTTP)
	switch {
	case err != nil:
		return "", fmt.Errorf(`"jwks_uri": %w`, err)
	case !inside && isInward(to.Hostname()):
		return "", fmt.Errorf(`"jwks_uri": %.200q is inside this machine or its link`, shownURL(address))
	}
	return address, nil
}
