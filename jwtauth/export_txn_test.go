package jwtauth

// RememberedCallers returns of how many callers t knows something.
func RememberedCallers(t *TxnPropagator) (n int) {
	for i := range t.memo.shards {
		s := &t.memo.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}
