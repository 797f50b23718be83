package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/authctx/authctx/examples/internal/program"
)

// readAuthorities reads who may vouch for peers. One who no longer may is passed
// over; a file without any other would let nobody in.
func readAuthorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots, ended := x509.NewCertPool(), false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case block.Type != "CERTIFICATE" || err != nil:
		case time.Now().After(cert.NotAfter):
			ended = true
		default:
			roots.AddCert(cert)
		}
	}
	switch none := roots.Equal(x509.NewCertPool()); {
	case none && ended:
		return nil, fmt.Errorf("%s has no certificate in it that has not ended", file)
	case none:
		return nil, fmt.Errorf("%s has no certificate in it", file)
	}
	return roots, nil
}

// readKeyPair reads how this service shows who it is. It refuses what no client would
// believe.
func readKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	certText, noCert := readFile("cert", certFile)
	keyText, noKey := readFile("key", keyFile)
	if err := errors.Join(noCert, noKey); err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("-cert and -key: %w", err)
	}
	uses := cert.Leaf.ExtKeyUsage // of which a client needs one, unless there are none
	switch {
	case time.Now().After(cert.Leaf.NotAfter):
		return tls.Certificate{}, fmt.Errorf("-cert: the certificate has ended at %v", cert.Leaf.NotAfter)
	case len(uses)+len(cert.Leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(uses, x509.ExtKeyUsageServerAuth) && !slices.Contains(uses, x509.ExtKeyUsageAny):
		return tls.Certificate{}, errors.New("-cert: the certificate is not one of a server")
	}
	return cert, nil
}

// readFile reads the file that a flag names. Its error does not repeat the name,
// which is a secret where somebody gave the key itself.
func readFile(flag, name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrong.Err
	}
	return text, program.About(flag, err)
}
