package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx/examples/internal/democa"
)

// What crypto/x509 says of a certificate that has ended has the time in it.
func TestTheGatewayTellsOfACertificateThatHasEndedOnce(t *testing.T) {
	ca, err := democa.New()
	if err != nil {
		t.Fatal(err)
	}
	provider, err := ca.Server("spiffe://shop.example/provider")
	if err != nil {
		t.Fatal(err)
	}
	leaf, roots := provider.Certificates[0].Leaf, provider.ClientCAs
	var told bytes.Buffer
	h := &health{log: slog.New(slog.NewTextHandler(&told, nil))}
	for _, after := range []time.Duration{time.Hour, 2 * time.Hour, 25 * time.Hour} {
		_, ended := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: leaf.NotAfter.Add(after)})
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](ended); !ok || invalid.Reason != x509.Expired {
			t.Fatal(ended)
		}
		h.tell(t.Context(), fmt.Errorf("keys: %w", ended))
	}
	if n := strings.Count(told.String(), "has expired"); n != 1 {
		t.Errorf("told %d times:\n%s", n, told.String())
	}
	h.tell(t.Context(), errors.New("keys: connection refused"))
	if !strings.Contains(told.String(), "connection refused") {
		t.Errorf("another cause is not told:\n%s", told.String())
	}
}
