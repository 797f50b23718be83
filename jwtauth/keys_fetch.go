package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fetcher loads a key set over HTTP. It is used by one goroutine at a time.
type fetcher struct {
	cfg     RemoteKeysConfig
	client  *http.Client
	jwksURL string // empty until it has been discovered
}

func newFetcher(cfg RemoteKeysConfig) fetcher {
	transport := cfg.Transport
	if transport == nil {
		transport = ownTransport(cfg.Timeout)
	}
	return fetcher{cfg: cfg, jwksURL: cfg.JWKSURL, client: clientOver(transport)}
}

// load returns the key set and how long the provider says it is fresh. A load
// that comes by itself (own) first asks the metadata where the keys are; if that
// fails and an address is known, it is used, and doubt says so. Any other load
// does that only if the keys are no longer where they were. A load that a
// request waits for must be fresh.
func (f *fetcher) load(ctx context.Context, own, fresh bool) (set jwkSet, maxAge time.Duration, doubt, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	located := own || f.jwksURL == ""
	if located {
		if _, doubt = f.locate(ctx); f.jwksURL == "" {
			return jwkSet{}, 0, nil, doubt
		}
	}
	body, maxAge, err := f.get(ctx, f.jwksURL, fresh)
	if !located && notThere(err) {
		if moved, _ := f.locate(ctx); moved {
			body, maxAge, err = f.get(ctx, f.jwksURL, fresh)
		}
	}
	if err != nil {
		return jwkSet{}, 0, nil, f.atKeys(err)
	}
	set, err = parseJWKSet(body, f.cfg.MaxKeys)
	if err != nil {
		return jwkSet{}, 0, nil, f.atKeys(fmt.Errorf("JWK Set: %w", err))
	}
	return set, maxAge, doubt, nil
}

// atKeys says where the keys are, unless that is their name already.
func (f *fetcher) atKeys(err error) error {
	if f.cfg.JWKSURL != "" {
		return err
	}
	return at(f.jwksURL, err)
}

// statusError is an answer other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("the provider answered %d", int(e)) }

// notThere reports whether the provider answered that what it was asked for is
// elsewhere. Being refused says nothing of where it is, and who asks for fewer
// requests must not be sent more for it.
func notThere(err error) bool {
	status, _ := errors.AsType[statusError](err)
	switch status {
	case http.StatusNotModified:
		return false
	case http.StatusNotFound, http.StatusGone:
		return true
	}
	return status >= 300 && status < 400
}

// get returns the body of a 200 response, whatever type it claims to have: what
// it is decides. Caches on the way are told to ask the provider if the answer
// must be fresh.
func (f *fetcher) get(ctx context.Context, address string, fresh bool) (body []byte, maxAge time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, errors.New("the address is not a URL")
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	if fresh {
		req.Header.Set("Cache-Control", "no-cache")
	}
	body, header, err := exchange(f.client, req, f.cfg.MaxBytes, func(resp *http.Response) error {
		return statusError(resp.StatusCode)
	})
	return body, freshFor(header), inTime(ctx, "the provider", f.cfg.Timeout, err)
}

// freshFor returns the smallest max-age (RFC 9111 section 5.2.2.1) less the time
// the answer has spent in caches, never less than a second, and 0 when the
// provider names none. One that is no number is stale at once (section 4.2.1).
// no-cache and no-store, which frameworks send by themselves, say what a cache may
// do with an answer and not for how long it holds, so they change nothing.
func freshFor(h http.Header) time.Duration {
	const most = math.MaxInt32 // more could overflow
	maxAge, said := most, false
	for _, line := range h.Values("Cache-Control") {
		for directive := range directives(line) {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if strings.EqualFold(name, "max-age") {
				seconds, _ := strconv.Atoi(value)
				maxAge, said = min(maxAge, seconds), true
			}
		}
	}
	if !said {
		return 0
	}
	age, _ := strconv.Atoi(h.Get("Age"))
	left := max(0, maxAge) - max(0, age)
	return time.Duration(max(left, 1)) * time.Second
}

// directives returns what commas separate that are not within quotes, without
// the quotes.
func directives(line string) iter.Seq[string] {
	parts := strings.Split(line, `"`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], ",", " ")
	}
	return strings.SplitSeq(strings.Join(parts, ""), ",")
}
