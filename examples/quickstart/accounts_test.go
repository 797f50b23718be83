package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A hash is dear, and anybody may ask for one.
func TestLoginsWaitForOneAnotherButNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hashes := make(chan struct{}, 1)
		service := &authService{accounts: &accounts{hashes: hashes}}
		login := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			service.login(w, httptest.NewRequestWithContext(t.Context(), "POST", "/auth/login",
				strings.NewReader(`{"username":"nobody","password":"wrong"}`)))
			return w
		}
		hashes <- struct{}{}
		start := time.Now()
		if w := login(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("while others log in: %d %v", w.Code, w.Header())
		}
		if took := time.Since(start); took != maxWait {
			t.Errorf("after %v, want %v", took, maxWait)
		}
		time.AfterFunc(maxWait/2, func() { <-hashes })
		if w := login(); w.Code != http.StatusUnauthorized {
			t.Errorf("when they are done: %d", w.Code)
		}
		if len(hashes) > 0 {
			t.Error("the next one has to wait")
		}
	})
}
