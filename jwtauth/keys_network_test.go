package jwtauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

// What follows needs a network: it tests what the real transport does.

// unhurried is a timeout that no busy machine reaches.
const unhurried = 5 * time.Minute

func serverKeys(t *testing.T, h http.HandlerFunc, change ...func(*jwtauth.RemoteKeysConfig)) *jwtauth.RemoteKeys {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg := jwtauth.RemoteKeysConfig{JWKSURL: srv.URL + "/jwks", Timeout: unhurried}
	for _, f := range change {
		f(&cfg)
	}
	keys, err := jwtauth.NewRemoteKeys(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	return keys
}

// notLoaded wants the first load to have failed, saying why.
func notLoaded(t *testing.T, keys *jwtauth.RemoteKeys, why string) {
	t.Helper()
	if err := keys.Ready(context.Background()); err == nil {
		t.Error("loaded")
	} else if !strings.Contains(err.Error(), why) {
		t.Errorf("%v does not say %q", err, why)
	}
}

func TestCVE_2026_41413_KeySet_RedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		fmt.Fprint(w, edSet(1))
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		keys := serverKeys(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		notLoaded(t, keys, fmt.Sprint(status))
	}
	if elsewhere.Load() != 0 {
		t.Error("another server was asked")
	}
}

func TestCVE_2026_26998_KeySet_HugeBodiesAreNotRead(t *testing.T) {
	var sent atomic.Int64
	endless := func(w http.ResponseWriter, r *http.Request) {
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for range 4096 { // 256 MiB
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}
	notLoaded(t, serverKeys(t, endless), "more than 1048576 bytes")
	if sent.Load() > 64<<20 { // what sockets hold is beyond our control
		t.Errorf("%d bytes were taken", sent.Load())
	}
}

func TestKeySet_HugeBodies_CompressedOnesToo(t *testing.T) {
	bomb := gzipOf(strings.Repeat(" ", 4<<20))
	notLoaded(t, serverKeys(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb)
	}), "more than 1048576 bytes")
}

func TestKeySet_Slowloris_IsCutOff(t *testing.T) {
	keys := serverKeys(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"keys":[`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(c *jwtauth.RemoteKeysConfig) {
		c.Timeout = 50 * time.Millisecond
		// Without timeouts of its own, which a busy machine may reach first.
		c.Transport = &http.Transport{DisableKeepAlives: true}
	})
	notLoaded(t, keys, "deadline")
}

func TestKeySet_ClientIdentity_NoCookiesAndATransportOfItsOwn(t *testing.T) {
	var mu sync.Mutex
	var cookies []string
	keys := serverKeys(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		cookies = append(cookies, r.Header.Get("Cookie"))
		if !r.Close { // http.DefaultTransport keeps it
			t.Error("the connection is kept")
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
		fmt.Fprint(w, edSet(1))
	})
	wantFind(t, keys, "k1", "found")
	wantFind(t, keys, "k2", "unknown_key")
	if fmt.Sprint(cookies) != "[ ]" {
		t.Errorf("cookies %q", cookies)
	}
}

func TestKeySet_HugeHeaders_AreNotRead(t *testing.T) {
	notLoaded(t, serverKeys(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 1<<20)) // http.DefaultTransport reads ten times that
		fmt.Fprint(w, edSet(1))
	}), "headers exceeded")
}

func TestKeySet_TLS_ACertificateNobodyTrustsLoadsNothing(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, edSet(1)) }))
	srv.Config.ErrorLog = discard()
	srv.StartTLS()
	defer srv.Close()
	keys := must(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: srv.URL, Timeout: unhurried}))
	defer keys.Close()
	notLoaded(t, keys, "certificate")
	trusting := must(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: srv.URL, Transport: srv.Client().Transport, Timeout: unhurried}))
	defer trusting.Close()
	wantFind(t, trusting, "k1", "found")
}
