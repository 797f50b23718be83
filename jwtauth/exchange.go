package jwtauth

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
// the provider may have moved.
func ownTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
}

// withoutURL returns why a request failed, without its address, whose query may be
// a secret. A Transport that asks by a client of its own has an address in its error
// too, of which it says what may be shown.
func withoutURL(err error) error {
	if u, ok := err.(*url.Error); ok && u.Err != nil {
		err = u.Err
	}
	text := err.Error()
	for inner, ok := errors.AsType[*url.Error](err); ok; inner, ok = errors.AsType[*url.Error](inner.Err) {
		shown := shownURL(inner.URL)
		text = strings.NewReplacer(strconv.Quote(inner.URL), strconv.Quote(shown), inner.URL, shown).Replace(text)
	}
	if text == err.Error() {
		return err
	}
	return &retold{err, text}
}

// retold is an error with another text.
type retold struct {
	error
	text string
}

func (e *retold) Error() string { return e.text }
func (e *retold) Unwrap() error { return e.error }

// exchange returns body and header of a 200 response of at most so many bytes;
// refusal says what any other response means.
func exchange(client *http.Client, req *http.Request, most int64, refusal func(*http.Response) error) ([]byte, http.Header, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, refusal(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, nil, err
	case int64(len(body)) > most:
		return nil, nil, fmt.Errorf("the answer has more than %d bytes", most)
	}
	return body, resp.Header, nil
}
