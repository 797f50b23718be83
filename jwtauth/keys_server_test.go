package jwtauth_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const jwksURL = "https://issuer.example/jwks"

// keyServer is a provider of keys with faults on demand. It is a transport, so
// that it also works where time is not real.
type keyServer struct {
	mu       sync.Mutex
	bodies   map[string]string // by URL; "" is for every other, and "404" answers with that
	status   int
	header   http.Header
	down     bool          // connections are refused
	hang     chan struct{} // responses wait until it is closed
	delay    time.Duration
	requests []*http.Request
	times    []time.Time
}

func newKeyServer(set string) *keyServer {
	return &keyServer{bodies: map[string]string{"": set}, status: http.StatusOK}
}

// change alters the server between two requests.
func (s *keyServer) change(f func(s *keyServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *keyServer) serve(set string) { s.change(func(s *keyServer) { s.bodies[""] = set }) }

func (s *keyServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// gaps returns the time between each two requests.
func (s *keyServer) gaps() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(s.times); i++ {
		gaps = append(gaps, s.times[i].Sub(s.times[i-1]))
	}
	return gaps
}

func (s *keyServer) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *keyServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.times = append(s.times, time.Now())
	down, hang, delay := s.down, s.hang, s.delay
	body, ok := s.bodies[req.URL.String()]
	if !ok {
		body = s.bodies[""]
	}
	resp := &http.Response{
		Request: req, StatusCode: s.status, Header: s.header.Clone(), ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)),
	}
	s.mu.Unlock()
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if status, err := strconv.Atoi(body); err == nil {
		resp.StatusCode = status
	}
	time.Sleep(delay) // within a bubble only
	if down {
		return nil, errors.New("connection refused")
	}
	if body == "panic" {
		panic(body)
	}
	if hang != nil {
		select {
		case <-hang:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	return resp, nil
}

// keysFrom returns remote keys that load from s and are closed with the test.
func keysFrom(t testing.TB, s *keyServer, change ...func(*jwtauth.RemoteKeysConfig)) *jwtauth.RemoteKeys {
	t.Helper()
	cfg := jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, Transport: s}
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

// jwk writes a JSON Web Key by hand, with changes; nil removes a member.
func jwk(id string, pub crypto.PublicKey, change ...map[string]any) string {

	m := map[string]any{"kid": id}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", jwkBytes(k.N.Bytes()), jwkBytes(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point := must(k.Bytes())[1:]
		m["kty"], m["crv"] = "EC", k.Curve.Params().Name
		m["x"], m["y"] = jwkBytes(point[:len(point)/2]), jwkBytes(point[len(point)/2:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", jwkBytes(k)
	}
	for _, c := range change {
		for name, value := range c {
			if m[name] = value; value == nil {
				delete(m, name)
			}
		}
	}
	return string(must(json.Marshal(m)))
}

func jwkBytes(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jwks(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// edKey returns a different key for each number, cheaply.
func edKey(n int) ed25519.PublicKey {
	seed := bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 16)
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

// edSet is a set of such keys, each with its number as its ID: "k1", "k2", …
func edSet(numbers ...int) string {
	var all []string
	for _, n := range numbers {
		all = append(all, jwk(fmt.Sprintf("k%d", n), edKey(n)))
	}
	return jwks(all...)
}

// findKey asks for a key and says what came of it: "found", or the reason.
func findKey(keys jwtauth.KeySource, id string) string {
	key, err := keys.Key(context.Background(), id, jwtauth.EdDSA)
	return keyOutcome(key, err)
}

func keyOutcome(key *jwtauth.Key, err error) string {
	switch {
	case err == nil && key != nil:
		return "found"
	case key != nil || err == nil:
		return fmt.Sprintf("both or neither: %v, %v", key, err)
	}
	return authctx.ReasonOf(err).String()
}

func wantFind(t testing.TB, keys jwtauth.KeySource, id, want string) {
	t.Helper()
	if got := findKey(keys, id); got != want {
		t.Errorf("%s: got %s, want %s", id, got, want)
	}
}

func gzipOf(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	must(z.Write([]byte(text)))
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
