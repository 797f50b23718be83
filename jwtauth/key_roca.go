package jwtauth

import "math/big"

// weakGenerator reports whether an RSA modulus was made by the generator of
// CVE-2017-15361 (ROCA), whose keys can be factored. Its primes are powers of
// 65537 modulo the product of all small primes, up to 701 for the least key that
// is taken here and further for larger ones, and so their product is one modulo
// each.
//
// A modulus that was made well passes for such a one with a probability of
// 2^-167, and is mostly known for what it is after one prime or two.
func weakGenerator(n *big.Int) bool {
	for _, p := range tellingPrimes() {
		residue := new(big.Int).Mod(n, big.NewInt(int64(p)))
		if !powerOf65537(uint32(residue.Uint64()), uint32(p)) {
			return false
		}
	}
	return true
}

// powerOf65537 reports whether x is a power of 65537 modulo the prime p.
func powerOf65537(x, p uint32) bool {
	generator := 65537 % p
	for power := generator; ; power = power * generator % p {
		if power == x || power == 1 {
			return power == x
		}
	}
}

// tellingPrimes returns the primes up to 701 of which not every residue is a
// power of 65537.
func tellingPrimes() [76]uint16 {
	return [76]uint16{
		11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157, 181, 191,
		193, 197, 199, 227, 229, 233, 239, 241, 257, 263, 269, 277, 281, 283, 293, 307, 317,
		331, 337, 349, 353, 367, 373, 379, 397, 419, 421, 431, 433, 439, 457, 461, 463, 467,
		479, 487, 491, 503, 523, 541, 547, 571, 577, 587, 593, 599, 601, 617, 619, 631, 641,
		647, 659, 673, 677, 683, 691,
	}
}
