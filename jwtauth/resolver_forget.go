package jwtauth

import (
	"maps"
	"slices"
)

// forget ends all that is known of an issuer, whichever of its spellings is given. A call
// of Resolve that has begun is not to be believed about any of them.
func (r *resolver) forget(issuer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return
	}
	for name := range r.spellings(issuer) {
		if known := r.known[name]; known != nil {
			r.drop(known)
		}
		delete(r.unknown, name)
		delete(r.failing, name)
		if len(r.asking) > 0 {
			r.forgotten[name] = r.calls
		}
	}
	if template := newIssuerName(issuer, nil); template.templated {
		r.forgetTenants(&template)
	}
}

// forgetTenants is forget for the tenants of a template of which there is no answer: they
// may have been refused because nobody had entered the template. It needs the lock.
func (r *resolver) forgetTenants(template *issuerName) {
	matches := func(name string) bool {
		_, ok := template.tenant(name)
		return ok && r.known[name] == nil // or it may be an issuer of its own
	}
	maps.DeleteFunc(r.unknown, func(name string, _ denial) bool { return matches(name) })
	maps.DeleteFunc(r.failing, func(name string, _ denial) bool { return matches(name) })
	for name := range r.asking {
		if matches(name) {
			r.forgotten[name] = r.calls
		}
	}
}

// spellings are the names of an issuer in every answer about it. Another tenant of its
// template is another issuer, but the template itself names them all. It needs the lock.
func (r *resolver) spellings(issuer string) map[string]bool {
	issuers, names := map[string]bool{issuer: true}, map[string]bool{issuer: true}
	for name, a := range r.known {
		if p := a.policy; !p.issuer.templated && (name == issuer || p.canonical(issuer) == p.Issuer) {
			issuers[p.Issuer] = true
		}
	}
	for name, a := range r.known {
		if !issuers[a.policy.Issuer] {
			continue
		}
		names[name] = true
		for _, spelling := range a.policy.spellings() {
			if known := r.known[spelling]; known == nil || issuers[known.policy.Issuer] { // or it is another's name, whatever a says
				names[spelling] = true
			}
		}
	}
	return names
}

// outdated reports whether the issuer of a call was forgotten after Resolve was called,
// under a name that h, if there is one, may have alone: that may not have known. It needs
// the lock.
func (r *resolver) outdated(call *resolveCall, h *held) bool {
	forgotten := func(name string) bool { return call.number <= r.forgotten[name] }
	return forgotten(call.issuer) || h != nil && slices.ContainsFunc(h.verifier.policy.spellings(), forgotten)
}
