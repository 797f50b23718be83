package jwtauthtest

import (
	"io"
	"net/http"
	"strings"
)

// Down returns a handler that closes the connection without an answer.
func Down() http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// Hang returns a handler that answers nothing until the client gives up.
func Hang() http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
}

// Slow returns a handler that holds every answer back until release is closed
// or the client gives up, and then answers with h, such as [Issuer.Handler].
func Slow(release <-chan struct{}, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	})
}

// Status returns a handler that answers with an HTTP status and no more.
func Status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// Junk returns a handler that answers 200 with a page that is not JSON, as
// captive portals and load balancers do.
func Junk() http.Handler {
	return body("text/html", "<!doctype html><title>Down for maintenance</title>")
}

// NoKeys returns a handler that answers 200 with a key set without keys.
func NoKeys() http.Handler { return body("application/jwk-set+json", `{"keys":[]}`) }

func body(contentType, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, text)
	})
}

// Oversized returns a handler that answers with a key set that does not end
// before the client hangs up, or at 256 MiB.
func Oversized() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		io.WriteString(w, `{"keys":[`)
		entry := strings.Repeat(`{"kty":"OKP","use":"enc","kid":"x"},`, 1<<10)
		for n := 0; n < 256<<20; n += len(entry) {
			if _, err := io.WriteString(w, entry); err != nil {
				return
			}
		}
	})
}
