package jwtauth

// ReusableTokens returns how many tokens t keeps for reuse.
func ReusableTokens(t *TxnPropagator) (n int) {
	for i := range t.memo.shards {
		s := &t.memo.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}
