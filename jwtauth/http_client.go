package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clientOver returns a client that follows no redirect and keeps no cookie.
func clientOver(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ownTransport shares nothing with http.DefaultTransport. Loads are minutes
// apart, so each makes a connection of its own: none can be dead by then, and
// the provider may have moved. Requests have contexts with the same timeout; what
// is here ends attempts to connect, which go on without their request (and with a
// proxy that does not answer CONNECT for a minute, which is net/http's).
func ownTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
}

// withoutURL returns why a request failed, without the query of its address, which
// may be a secret, and of those that a Transport with clients of its own asked.
func withoutURL(err error, asked *url.URL) error {
	if u, ok := err.(*url.Error); ok && u.Err != nil {
		err = u.Err
	}
	addresses := appendURLs([]string{asked.String()}, err)
	// The longest first, since one may begin like another.
	slices.SortFunc(addresses, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, address := range addresses {
		shown := shownURL(address)
		pairs = append(pairs, strconv.Quote(address), strconv.Quote(shown))
		if strings.Contains(address, "://") { // and not a letter of something else
			pairs = append(pairs, address, shown)
		}
	}
	if text := strings.NewReplacer(pairs...).Replace(err.Error()); text != err.Error() {
		return &retold{err, text}
	}
	return err
}

// appendURLs appends the addresses that are in the texts of err and of what it wraps.
func appendURLs(addresses []string, err error) []string {
	if u, ok := err.(*url.Error); ok {
		addresses = append(addresses, u.URL)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return appendURLs(addresses, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			addresses = appendURLs(addresses, inner)
		}
	}
	return addresses
}

// retold is an error with another text.
type retold struct {
	err  error
	text string
}

func (e *retold) Error() string { return e.text }
func (e *retold) Unwrap() error { return e.err }

// inTime says to an operator that a request had no answer when its time was up, which
// ctx has had since it began; other errors stay as they are.
func inTime(ctx context.Context, asked string, had time.Duration, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s gave no whole answer within %v: %w", asked, had, err)
	}
	return err
}

// exchange returns body and header of a 200 response of at most so many bytes;
// refusal says what any other response means.
func exchange(client *http.Client, req *http.Request, most int64, refusal func(*http.Response) error) ([]byte, http.Header, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, withoutURL(err, req.URL)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, refusal(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, nil, withoutURL(err, req.URL)
	case int64(len(body)) > most:
		return nil, nil, fmt.Errorf("the answer has more than %d bytes", most)
	}
	return body, resp.Header, nil
}
