package jwtauth

// SameURL reports whether a proof for htu is good for a request for target.
func SameURL(external, target, htu string) bool {
	e, err := parseExternalURL(external)
	if err != nil {
		return false
	}
	u, ok := e.of(target)
	return ok && sameURL(htu, u)
}

// ProofThumbprint reads a DPoP proof as far as can be done without a request,
// and returns the thumbprint of its key.
func ProofThumbprint(text string, algorithms ...Algorithm) (string, error) {
	p, err := parseProof(text, &accepted{algorithms: algorithms})
	if err != nil {
		return "", err
	}
	_, err = p.verify()
	return p.thumbprint, err
}

// ClientCert reads one client-cert field.
func ClientCert(value string) ([]byte, error) { return clientCert([]string{value}) }
